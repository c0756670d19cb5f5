"""Which permutation of its free axes brings one network nearest to another of the same table.

Ainsworth, Hayase and Srinivasa, "Git Re-Basin: merging models modulo permutation symmetries", ICLR 2023: weight
matching, with the axes of the tables in place of a specification by hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from weightgen.models.axes import Axis, Dim, Kind
from weightgen.models.layout import Layout
from weightgen.models.selection import Selection, flat_indices

if TYPE_CHECKING:
    import torch

Permutations = dict[Axis, Selection]
ROUNDS = 50


def match_weights(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor], layout: Layout) -> Permutations:
    """Return permutations of all axes, the identity where they are not free, that bring `other` near `one`.

    `proof.permute(other, layout, result)` has a large inner product with `one`: axis by axis, by linear assignment,
    until nothing changes. It begins twice, with the identity and with the order that each axis has by itself, which
    finds a network that was only permuted; the better end is returned. An axis that blocks or heads share gets one
    permutation for all of them.
    """
    matching = _Matching(one, other, layout)
    kept = matching.improved(matching.identity)
    found = matching.improved(matching.by_themselves())
    return found if matching.product(found) > matching.product(kept) else kept


class _Matching:
    """Two networks, and where their axes are."""

    def __init__(self, one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor], layout: Layout) -> None:
        tensors = [t for t in layout.tensors.values() if one[t.name].is_floating_point()]
        self.one, self.other = (
            {t.name: state[t.name].detach().cpu().double() for t in tensors} for state in (one, other)
        )
        self.dims = {t.name: t.dims for t in tensors}
        self.sizes = layout.sizes
        self.identity = {a: Selection(a, n, np.arange(n)) for a, n in layout.sizes.items()}
        self.free = [a for a in sorted(layout.sizes) if a.kind is Kind.FREE and layout.sizes[a] > 1]
        self.places = {
            axis: [(t.name, i) for t in tensors for i, dim in enumerate(t.dims) if any(axis in term for term in dim)]
            for axis in self.free
        }
        self._positions: dict[tuple[Dim, Axis], torch.Tensor] = {}

    def improved(self, chosen: Permutations) -> Permutations:
        """Return the permutations after each axis was assigned anew, given the others, until none changes."""
        chosen = dict(chosen)
        for _ in range(ROUNDS):
            before = dict(chosen)
            for axis in self.free:
                chosen[axis] = self._assigned(axis, chosen)
            if all(chosen[axis] is before[axis] for axis in self.free):
                break
        return chosen

    def by_themselves(self) -> Permutations:
        """Return the permutations by what no permutation of other axes changes: the sorted values along each axis."""
        found = dict(self.identity)
        for axis in self.free:
            similar = np.zeros((self.sizes[axis],) * 2)
            for name, i in self.places[axis]:
                one, other = (self._rows(state[name], self.dims[name][i], i, axis) for state in (self.one, self.other))
                similar += (one.sort(1).values @ other.sort(1).values.T).numpy()
            found[axis] = Selection(axis, self.sizes[axis], _assignment(similar))
        return found

    def product(self, chosen: Permutations) -> float:
        """Return the inner product of one network and the other, permuted."""
        return sum(float((self.one[n] * self._moved(n, chosen)).sum()) for n in self.one)

    def _assigned(self, axis: Axis, chosen: Permutations) -> Selection:
        similar = np.zeros((self.sizes[axis],) * 2)
        for name, i in self.places[axis]:
            dim = self.dims[name][i]
            one = self._rows(self.one[name], dim, i, axis)
            similar += (one @ self._rows(self._moved(name, chosen, but=(i, axis)), dim, i, axis).T).numpy()
        order, rows = _assignment(similar), np.arange(self.sizes[axis])
        # Rounding aside, the order that is there stays unless another is better: the rounds must end.
        gained = similar[rows, order].sum() - similar[rows, chosen[axis].indices].sum()
        better = gained > 1e-12 * np.abs(similar).max() * len(rows)
        return Selection(axis, self.sizes[axis], order) if better else chosen[axis]

    def _moved(self, name: str, chosen: Permutations, but: tuple[int, Axis] | None = None) -> torch.Tensor:
        """Return a tensor of the other network, permuted, with one axis of one dimension left as it is."""
        import torch

        values = self.other[name]
        for i, dim in enumerate(self.dims[name]):
            own = chosen if but is None or but[0] != i else chosen | {but[1]: self.identity[but[1]]}
            values = values.index_select(i, torch.from_numpy(flat_indices(dim, own)))
        return values

    def _rows(self, values: torch.Tensor, dim: Dim, i: int, axis: Axis) -> torch.Tensor:
        """Return the values at each index of an axis within a dimension, (size of the axis, values)."""
        import torch

        if (dim, axis) not in self._positions:
            n = self.sizes[axis]
            single = [Selection(axis, n, np.array([k])) for k in range(n)]
            own = [flat_indices(dim, self.identity | {axis: selection}) for selection in single]
            shared = np.intersect1d(own[0], own[1])  # of terms of the dimension without this axis
            self._positions[dim, axis] = torch.from_numpy(np.stack([np.setdiff1d(p, shared, True) for p in own]))
        positions = self._positions[dim, axis]
        found = values.movedim(i, 0).index_select(0, positions.flatten())
        return found.reshape(len(positions), -1)


def _assignment(similar: np.ndarray) -> np.ndarray:
    """Return for each row a column of its own, of the largest sum."""
    from scipy.optimize import linear_sum_assignment

    return np.asarray(linear_sum_assignment(similar, maximize=True)[1])
