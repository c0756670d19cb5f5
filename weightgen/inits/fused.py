"""Which output rows of a weight belong to which of the layers that are fused in it."""

from __future__ import annotations

import math
from collections.abc import Mapping

from weightgen.models.axes import Axis, Term, runs
from weightgen.models.layout import Layout, TensorAxes

Rows = tuple[int, ...]


def fused_rows(axes: TensorAxes, layout: Layout) -> tuple[Rows, ...]:
    """Return the rows of each layer in a tensor by its line in the family's table; empty where it is one layer.

    q, k and v are layers, concatenated or alternating inside of each head; so are the two halves of a gated MLP. The
    part of a head that rotates and the part that does not are one.
    """
    dims = [dim for i, dim in enumerate(axes.dims) if i not in axes.inputs]
    dim = dims[1] if _stacked(axes) and len(dims) > 1 else dims[0]
    sizes = layout.sizes
    found: list[list[int]] = []
    offset = 0
    for run in runs(dim):
        shared = run[-1].inside
        repeats = math.prod(sizes[axis] for axis in run[0][:shared])
        widths = [math.prod(sizes[axis] for axis in term[shared:]) for term in run]
        parts, start = _parts(run), offset
        for first, last in parts:
            begin, width = start + sum(widths[:first]), sum(widths[first:last])
            rows = [begin + repeat * sum(widths) + i for repeat in range(repeats) for i in range(width)]
            found.extend(_halves(rows, run[0][0], sizes))
        offset += repeats * sum(widths)
    return tuple(map(tuple, found)) if len(found) > 1 else ()


def _stacked(axes: TensorAxes) -> bool:
    return axes.dims[0][0][0].name.startswith("expert")


def _parts(run: list[Term]) -> list[tuple[int, int]]:
    """Return where each layer's terms begin and end: the next layer begins where an axis comes again, or with v's."""
    starts = [0]
    for i, term in enumerate(run):
        own = {t[-1] for t in run[starts[-1] : i]}
        if own and (term[-1] in own or term[-1].name.partition(":")[0] == "vdim"):
            starts.append(i)
    return list(zip(starts, [*starts[1:], len(run)], strict=True))


def _halves(rows: list[int], first: Axis, sizes: Mapping[Axis, int]) -> list[list[int]]:
    count = sizes[first] if first.name == "halves" else 1
    size = len(rows) // count
    return [rows[i * size : (i + 1) * size] for i in range(count)]
