"""Redundant units: two that draw the same hyperplane, of which one can do the work of both.

You et al., "Max-affine spline insights into deep network pruning", TMLR 2022, arXiv 2101.02338.
"""

from __future__ import annotations

import torch
from torch import Tensor

from weightgen.errors import UsageError


def most_parallel(weight: Tensor, bias: Tensor | None = None) -> list[tuple[int, int, float]]:
    """Return pairs of units (keep, drop, cosine), the most redundant first, each unit dropped at most once.

    `weight` (units, ...) and `bias` (units,) are the hyperplanes; the cosine is that of weight and bias together. Of
    two units the one of smaller norm is dropped. A unit that was dropped keeps no other.
    """
    planes = weight.detach().flatten(1).double()
    if bias is not None:
        planes = torch.cat([planes, bias.detach().double()[:, None]], 1)
    norms = planes.norm(dim=1)
    directions = torch.nn.functional.normalize(planes, dim=1)
    cosines = directions @ directions.T
    rows, columns = torch.triu_indices(len(planes), len(planes), offset=1)
    order = cosines[rows, columns].argsort(stable=True, descending=True)
    dropped: set[int] = set()
    pairs = []
    for i, j in zip(rows[order].tolist(), columns[order].tolist(), strict=True):
        keep, drop = (i, j) if float(norms[i]) >= float(norms[j]) else (j, i)
        if not dropped & {keep, drop}:
            dropped.add(drop)
            pairs.append((keep, drop, float(cosines[i, j])))
    return pairs


def merge_(first: Tensor, bias: Tensor | None, second: Tensor, keep: int, drop: int) -> None:
    """Let one unit do the work of two parallel ones, in place: the other's outgoing weights are added to its own.

    `first` (units, ...), `bias` (units,), `second` (out, units, ...). For units whose activation is ReLU or another
    with f(c z) = c f(z) for c > 0: if the dropped one is c times the kept one, nothing changes. It becomes zero on both
    sides. Raises UsageError for a kept unit that is zero.
    """
    with torch.no_grad():
        size = first[keep].norm()
        if float(size) == 0:
            raise UsageError(f"merging: unit {keep} is zero and cannot stand for another")
        second[:, keep] += second[:, drop] * (first[drop].norm() / size)
        second[:, drop] = 0
        first[drop] = 0
        if bias is not None:
            bias[drop] = 0
