"""Axis rules of the operations that move values without mixing them: views, permutations, slices, concatenations."""

from __future__ import annotations

from typing import Any

import torch

from weightgen.models.unify import Expression, axis, cut, fix, product, resolve, size_of, split, unify

Dims = list[Expression]


class AxisBook:
    """What is known of every tensor: an axis expression for each of its dimensions."""

    def __init__(self) -> None:
        super().__init__()
        # The tensor is kept beside its dimensions: ids are reused once a tensor is gone.
        self._known: dict[int, tuple[torch.Tensor, Dims]] = {}
        self._pending: dict[int, tuple[torch.Tensor, Expression]] = {}

    def track(self, tensor: torch.Tensor, fixed: bool) -> None:
        """Give a tensor new axes, unless it has some (tied parameters are one tensor)."""
        if id(tensor) not in self._known:
            self.assign(tensor, [axis(n, fixed) for n in tensor.shape])

    def assign(self, tensor: torch.Tensor, dims: Dims) -> None:
        """Say what the axes of a tensor are."""
        self._known[id(tensor)] = (tensor, dims)

    def picked_from(self, tensor: torch.Tensor, dim: Expression) -> None:
        """Say that a tensor is one entry of a dimension, whose order counts as soon as its values are looked at.

        Models pick an entry for its shape alone, too.
        """
        self._pending[id(tensor)] = (tensor, dim)

    def look_at(self, tensors: list[torch.Tensor]) -> None:
        """Note that an operation looks at the values of these tensors."""
        for tensor in tensors:
            _, dim = self._pending.pop(id(tensor), (None, ()))
            fix(dim)

    def dims(self, tensor: torch.Tensor) -> Dims:
        """Return the axes of a tensor; one that nobody tracked is a constant, so that its axes are fixed."""
        self.track(tensor, fixed=True)
        return self._known[id(tensor)][1]


class MovementRules(AxisBook):
    """One method per operation: arguments, keywords and outputs in, the axes of each output out."""

    def _reshape(self, args: Any, kwargs: Any, outs: Any) -> list[Dims]:
        tensor, shape = args[0], outs[0].shape
        dims = self.dims(tensor)
        result: Dims = []
        i = j = 0
        while i < tensor.dim() or j < len(shape):
            i0, j0 = i, j
            left = right = 1
            # The smallest runs of dimensions, on both sides, that hold the same number of entries.
            while (i == i0 and j == j0) or left != right:
                if (left <= right and i < tensor.dim()) or j >= len(shape):
                    left *= tensor.shape[i]
                    i += 1
                else:
                    right *= shape[j]
                    j += 1
            whole = product(dims[i0:i])
            parts: Dims = []
            for size in reversed(shape[j0 + 1 : j]):
                whole, fast = split(whole, size)
                parts.append(fast)
            if j > j0:
                result += [whole, *reversed(parts)]
        return [result]

    def _op_permute(self, args: Any, kwargs: Any, outs: Any) -> list[Dims]:
        dims = self.dims(args[0])
        return [[dims[d] for d in args[1]]]

    def _op_transpose(self, args: Any, kwargs: Any, outs: Any) -> list[Dims]:
        dims = list(self.dims(args[0]))
        a, b = args[1:3]
        dims[a], dims[b] = dims[b], dims[a]
        return [dims]

    def _op_t(self, args: Any, kwargs: Any, outs: Any) -> list[Dims]:
        return [self.dims(args[0])[::-1]]

    def _op_expand(self, args: Any, kwargs: Any, outs: Any) -> list[Dims]:
        dims, shape = self.dims(args[0]), args[0].shape
        offset = outs[0].dim() - len(shape)
        return [
            [
                dims[i - offset] if i >= offset and shape[i - offset] == n else axis(n)
                for i, n in enumerate(outs[0].shape)
            ]
        ]

    def _op_constant_pad_nd(self, args: Any, kwargs: Any, outs: Any) -> list[Dims]:
        result = list(self.dims(args[0]))
        for i in range(len(args[1]) // 2):
            before, after = args[1][2 * i : 2 * i + 2]
            d = len(result) - 1 - i
            result[d] = cut(result[d], -before if before < 0 else 0, args[0].shape[d] + min(after, 0))
            # Padding of zeros extends an axis by entries of its own.
            result[d] = (*(axis(before) if before > 0 else ()), *result[d], *(axis(after) if after > 0 else ()))
        return [result]

    def _op_cat(self, args: Any, kwargs: Any, outs: Any) -> list[Dims]:
        tensors = [t for t in args[0] if t.numel()]
        at = (args[1] if len(args) > 1 else kwargs.get("dim", 0)) % outs[0].dim()
        result = list(self.dims(tensors[0]))
        for tensor in tensors[1:]:
            for i, dim in enumerate(self.dims(tensor)):
                result[i] = (*resolve(result[i]), *resolve(dim)) if i == at else unify(result[i], dim)
        return [result]

    def _op_stack(self, args: Any, kwargs: Any, outs: Any) -> list[Dims]:
        result = list(self.dims(args[0][0]))
        for tensor in args[0][1:]:
            result = [unify(a, b) for a, b in zip(result, self.dims(tensor), strict=True)]
        at = (args[1] if len(args) > 1 else kwargs.get("dim", 0)) % outs[0].dim()
        result.insert(at, axis(len(args[0]), True))
        return [result]

    def _op_split_with_sizes(self, args: Any, kwargs: Any, outs: Any) -> list[Dims]:
        dims = self.dims(args[0])
        at = (args[2] if len(args) > 2 else kwargs.get("dim", 0)) % len(dims)
        found, start = [], 0
        for out in outs:
            stop = start + out.shape[at]
            found.append([*dims[:at], cut(dims[at], start, stop), *dims[at + 1 :]])
            start = stop
        return found

    _op_split = _op_chunk = _op_split_with_sizes

    def _op_slice(self, args: Any, kwargs: Any, outs: Any) -> list[Dims]:
        tensor, at, start, _, step = (*args, *(None,) * 5)[:5]
        at = at or 0
        result = list(self.dims(tensor))
        n, kept = tensor.shape[at], outs[0].shape[at]
        if step not in (None, 1):
            result[at] = self._strided(result[at], start or 0, step, kept)
        elif kept != n:
            first = max((start or 0) + (n if (start or 0) < 0 else 0), 0)
            result[at] = cut(result[at], first, first + kept)
        return [result]

    def _strided(self, dim: Expression, start: int, step: int, kept: int) -> Expression:
        """Return every so many entries of a dimension, of which each is the slow part of a product."""
        size = size_of(dim)
        if size % step or start >= step or kept != size // step:
            fix(dim)
            return axis(kept, True)
        slow, fast = split(dim, step)
        fix(fast)
        return slow

    def _op_select(self, args: Any, kwargs: Any, outs: Any) -> list[Dims]:
        result = list(self.dims(args[0]))
        self.picked_from(outs[0], result.pop(args[1] % len(result)))
        return [result]

    def _op_unbind(self, args: Any, kwargs: Any, outs: Any) -> list[Dims]:
        result = list(self.dims(args[0]))
        picked = result.pop((args[1] if len(args) > 1 else 0) % len(result))
        for out in outs:
            self.picked_from(out, picked)
        return [result for _ in outs]

    def _op_roll(self, args: Any, kwargs: Any, outs: Any) -> list[Dims]:
        result = self.dims(args[0])
        for at in args[2] if len(args) > 2 else range(len(result)):
            fix(result[at])
        return [result]

    def _op_flip(self, args: Any, kwargs: Any, outs: Any) -> list[Dims]:
        return self._op_roll((args[0], None, args[1]), kwargs, outs)

    def _op_embedding(self, args: Any, kwargs: Any, outs: Any) -> list[Dims]:
        table = self.dims(args[0])
        fix(table[0])
        return [[*self.dims(args[1]), table[1]]]
