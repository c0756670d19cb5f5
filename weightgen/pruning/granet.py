"""Gradual pruning with regrowth at no cost: a density that falls as a cubic, and layers that exchange what they keep.

Liu et al., "Sparse training via boosting pruning plasticity with neuroregeneration" (GraNet), NeurIPS 2021.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from weightgen.errors import UsageError

FIRST_RATE, LAST_RATE = 0.5, 0.005


def density_at(progress: float, first: float, last: float) -> float:
    """Return last + (first - last) (1 - progress)^3, the density at a `progress` from 0 to 1.

    It is 1 - sparsity of the paper's equation, after Zhu and Gupta 2017: most is pruned early. Raises UsageError for a
    progress outside [0, 1] or densities that do not fall within (0, 1].
    """
    if not 0 <= progress <= 1:
        raise UsageError(f"progress: expected 0 to 1, found {progress:g}")
    if not 0 < last <= first <= 1:
        raise UsageError(f"densities: expected 0 < last <= first <= 1, found {first:g} and {last:g}")
    return last + (first - last) * (1 - progress) ** 3


def exchange_rate(progress: float) -> float:
    """Return the share of a layer's weights that is exchanged at a `progress` from 0 to 1: a cosine from .5 to .005."""
    return LAST_RATE + (FIRST_RATE - LAST_RATE) * (1 + math.cos(math.pi * progress)) / 2


def exchange_(weight: Tensor, kept: Tensor, gradient: Tensor, rate: float) -> Tensor:
    """Return the mask after ceil(rate x kept) of the smallest kept weights gave way to as many new ones.

    New are the masked entries of largest |gradient|, (out, ...) as the weight; they begin at zero, in place, and no
    entry leaves and returns at once. Where fewer are masked than would leave, only so many are exchanged. Of equal
    values the first go and come: a threshold would drop or grow all of them.
    """
    masked = int((~kept).sum())
    count = min(math.ceil(rate * int(kept.sum())), masked)
    flat = kept.flatten()
    sizes = weight.detach().abs().flatten().masked_fill(~flat, math.inf)
    slopes = gradient.abs().flatten().masked_fill(flat, -math.inf)
    leaving = sizes.argsort(stable=True)[:count]
    coming = slopes.argsort(stable=True, descending=True)[:count]
    after = flat.clone()
    after[leaving], after[coming] = False, True
    after = after.view_as(kept)
    with torch.no_grad():
        weight.mul_(kept & after)
    return after
