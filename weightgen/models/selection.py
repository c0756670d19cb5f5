"""Selections: the source indices that the axes of a smaller network take, and how they compose."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from weightgen.models.axes import Axis, Dim, Term, runs

Indices = np.ndarray


@dataclass(frozen=True)
class Selection:
    """The source indices that one target axis takes.

    `indices` has shape (target size,), or (parent's target size, target size) for a nested axis.
    """

    axis: Axis
    source_size: int
    indices: Indices

    @property
    def target_size(self) -> int:
        """Number of entries kept."""
        return int(self.indices.shape[-1])

    @property
    def identity(self) -> bool:
        """Whether everything is kept in order."""
        return self.indices.ndim == 1 and np.array_equal(self.indices, np.arange(self.source_size))


def flat_indices(dim: Dim, chosen: Mapping[Axis, Selection]) -> Indices:
    """Compose the selections of a dimension's axes into indices of the flat source dimension."""
    parts, offset = [], 0
    for run in runs(dim):
        shared = run[-1].inside
        sources = [[chosen[axis].source_size for axis in term[shared:]] for term in run]
        stride = sum(math.prod(sizes) for sizes in sources)
        rows = math.prod(chosen[axis].target_size for axis in run[0][:shared])
        columns, start = [], 0
        for term, sizes in zip(run, sources, strict=True):
            columns.append((_flat(term, chosen, shared, stride) + start).reshape(rows, -1))
            start += math.prod(sizes)
        parts.append(np.concatenate(columns, axis=1).reshape(-1) + offset)
        offset += stride * math.prod(chosen[axis].source_size for axis in run[0][:shared])
    return np.concatenate(parts) if len(parts) > 1 else parts[0]


def _flat(term: Term, chosen: Mapping[Axis, Selection], shared: int, stride: int) -> Indices:
    """Compose one product, whose `shared` leading axes step over `stride` entries."""
    flat = np.zeros((1,) * len(term), dtype=np.int64)
    size = 1
    for position in range(len(term) - 1, -1, -1):
        if position == shared - 1:
            size = stride
        selection = chosen[term[position]]
        indices = selection.indices
        # A nested axis (parent, own) broadcasts against its parent, which stands just before it.
        first = position - indices.ndim + 1
        flat = flat + indices.reshape((1,) * first + indices.shape + (1,) * (len(term) - 1 - position)) * size
        size *= selection.source_size
    return flat
