"""Axis rules of the operations that pick entries: by position, by order, or by an index that another axis gave."""

from __future__ import annotations

from typing import Any

import torch

from weightgen.models.movement import Dims, MovementRules
from weightgen.models.unify import Expression, axis, fix, product, unify


class IndexingRules(MovementRules):
    """Besides what tensors are laid out along, remembers which axis the numbers in an index tensor point into.

    A router's top k are numbers of experts: where weights are picked by them, the experts are the router's rows.
    """

    def __init__(self) -> None:
        super().__init__()
        self._targets: dict[int, tuple[torch.Tensor, Expression]] = {}

    def points(self, tensor: torch.Tensor) -> Expression | None:
        """Return the axis that an index tensor points into, None where that is not known."""
        found = self._targets.get(id(tensor))
        return None if found is None else found[1]

    def point(self, tensor: torch.Tensor, into: Expression) -> None:
        """Say what the numbers in a tensor point into."""
        self._targets[id(tensor)] = (tensor, into)

    def carry(self, tensors: list[torch.Tensor], outputs: list[torch.Tensor]) -> None:
        """Let whole numbers that were made of an index, moved or clamped, point where it does."""
        into = next((e for t in tensors if not t.is_floating_point() and (e := self.points(t)) is not None), None)
        for out in outputs:
            if into is not None and out.dtype in (torch.int64, torch.int32) and self.points(out) is None:
                self.point(out, into)

    def _picked(self, dim: Expression, index: Any) -> None:
        """Tie a dimension to what an index points into; without that, its order counts."""
        into = self.points(index) if isinstance(index, torch.Tensor) else None
        if into is None:
            fix(dim)
        else:
            unify(dim, into)

    def _at(self, args: Any, kwargs: Any, place: int, default: int) -> int:
        found = args[place] if len(args) > place else kwargs.get("dim", default)
        wide: int = max(args[0].dim(), 1)
        return int(found) % wide

    def _op_topk(self, args: Any, kwargs: Any, outs: Any) -> list[Dims]:
        at = self._at(args, kwargs, 2, -1)
        dims = list(self.dims(args[0]))
        self.point(outs[1], dims[at])
        dims[at] = axis(outs[0].shape[at], fixed=True)
        return [dims, dims]

    def _op_sort(self, args: Any, kwargs: Any, outs: Any) -> list[Dims]:
        at = self._at(args, kwargs, 1, -1)
        dims = list(self.dims(args[0]))
        self.point(outs[-1], dims[at])
        dims[at] = axis(outs[0].shape[at], fixed=True)
        return [dims for _ in outs]

    def _op_argmax(self, args: Any, kwargs: Any, outs: Any) -> list[Dims] | None:
        if outs[0].dim() == 0:
            return [[]]
        at = self._at(args, kwargs, 1, -1)
        dims = list(self.dims(args[0]))
        self.point(outs[0], dims[at])
        kept = outs[0].dim() == args[0].dim()
        return [[*dims[:at], *([axis(1)] if kept else []), *dims[at + 1 :]]]

    _op_argmin = _op_argmax

    def _op_cumsum(self, args: Any, kwargs: Any, outs: Any) -> list[Dims]:
        dims = self.dims(args[0])
        fix(dims[self._at(args, kwargs, 1, -1)])
        return [dims for _ in outs]

    _op_cumprod = _op_logcumsumexp = _op_cumsum

    def _op_tril(self, args: Any, kwargs: Any, outs: Any) -> list[Dims]:
        dims = self.dims(args[0])
        for dim in dims[-2:]:
            fix(dim)
        return [dims]

    _op_triu = _op_tril

    def _op_gather(self, args: Any, kwargs: Any, outs: Any) -> list[Dims]:
        at = int(args[1]) % args[0].dim()
        dims = list(self.dims(args[0]))
        self._picked(dims[at], args[2])
        if self.points(args[0]) is not None:
            self.point(outs[0], self.points(args[0]) or ())
        return [[d if n == o and i != at else axis(o, True) for i, (d, n, o) in _numbered(dims, args[0], outs[0])]]

    def _op_scatter(self, args: Any, kwargs: Any, outs: Any) -> list[Dims]:
        at = int(args[1]) % args[0].dim()
        dims = list(self.dims(args[0]))
        self._picked(dims[at], args[2])
        if len(args) > 3 and isinstance(args[3], torch.Tensor) and args[3].dim() == args[0].dim():
            for i, own in enumerate(self.dims(args[3])):
                if i != at and args[3].shape[i] == args[0].shape[i]:
                    dims[i] = unify(dims[i], own)
        return [dims]

    _op_scatter_add = _op_scatter_reduce = _op_scatter

    def _op_index_add(self, args: Any, kwargs: Any, outs: Any) -> list[Dims]:
        at = int(args[1]) % args[0].dim()
        dims = list(self.dims(args[0]))
        self._picked(dims[at], args[2])
        for i, own in enumerate(self.dims(args[3])):
            if i != at and args[3].shape[i] == args[0].shape[i]:
                dims[i] = unify(dims[i], own)
        return [dims]

    _op_index_copy = _op_index_add

    def _op_index_select(self, args: Any, kwargs: Any, outs: Any) -> list[Dims]:
        at = int(args[1]) % args[0].dim()
        dims = list(self.dims(args[0]))
        self._picked(dims[at], args[2])
        dims[at] = axis(outs[0].shape[at], fixed=True)
        return [dims]

    def _op_index(self, args: Any, kwargs: Any, outs: Any) -> list[Dims] | None:
        dims, indices = list(self.dims(args[0])), list(args[1])
        result: Dims = []
        used: list[int] = []
        place, middle = 0, 0
        for index in indices:
            if index is None:
                result.append(dims[place])
                place += 1
                continue
            wide = index.dim() if index.dtype in (torch.bool, torch.uint8) else 1
            for dim in dims[place : place + wide]:
                self._picked(dim, None if wide > 1 or index.dtype is torch.bool else index)
            middle = len(result) if not used else middle
            used.append(place)
            place += wide
        result += dims[place:]
        if used[-1] - used[0] != len(used) - 1:  # apart from each other: what they pick comes first
            middle = 0
        new = outs[0].dim() - len(result)
        picked: Dims = [axis(n, True) for n in outs[0].shape[middle : middle + new]]
        return [[*result[:middle], *picked, *result[middle:]]]

    def _op_index_put(self, args: Any, kwargs: Any, outs: Any) -> list[Dims]:
        dims = self.dims(args[0])
        for dim, index in zip(dims, args[1], strict=False):
            if index is not None:
                self._picked(dim, index)
        return [dims]

    def _op_repeat(self, args: Any, kwargs: Any, outs: Any) -> list[Dims]:
        dims, times = self.dims(args[0]), list(args[1])
        new = len(times) - len(dims)
        result: Dims = [axis(n) for n in times[:new]]
        return [result + [d if n == 1 else product([axis(n), d]) for n, d in zip(times[new:], dims, strict=True)]]

    def _op_unfold(self, args: Any, kwargs: Any, outs: Any) -> list[Dims]:
        at = int(args[1]) % args[0].dim()
        dims = list(self.dims(args[0]))
        fix(dims[at])
        dims[at] = axis(outs[0].shape[at], True)
        return [[*dims, axis(outs[0].shape[-1], True)]]

    def _op_im2col(self, args: Any, kwargs: Any, outs: Any) -> list[Dims]:
        dims = self.dims(args[0])
        window = outs[0].shape[-2] // args[0].shape[-3]
        return [[*dims[:-3], product([dims[-3], axis(window, True)]), axis(outs[0].shape[-1], True)]]

    def _op_view_as_real(self, args: Any, kwargs: Any, outs: Any) -> list[Dims]:
        return [[*self.dims(args[0]), axis(2, True)]]

    def _op_view_as_complex(self, args: Any, kwargs: Any, outs: Any) -> list[Dims]:
        dims = self.dims(args[0])
        fix(dims[-1])
        return [dims[:-1]]

    def _op_nonzero(self, args: Any, kwargs: Any, outs: Any) -> list[Dims]:
        return [[axis(n, True) for n in out.shape] for out in outs]

    _op_histc = _op_bincount = _op_nonzero


def _numbered(dims: Dims, tensor: torch.Tensor, out: torch.Tensor) -> Any:
    return enumerate(zip(dims, tensor.shape, out.shape, strict=True))
