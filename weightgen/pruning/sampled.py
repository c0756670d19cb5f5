"""Sketched masks: entries stay with a probability that grows with their score, instead of the highest for certain.

Bar and Giryes, "Pruning at initialization: a sketching perspective", 2023, arXiv 2305.17559.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from weightgen.errors import UsageError
from weightgen.models.masks import Mask
from weightgen.pruning.choose import Scores, check_scores, split

CERTAIN = 1 - 1e-6  # above it rounding could not tell a probability from 1


def probabilities(scores: Scores, density: float) -> dict[str, Tensor]:
    """Return min(1, c x score) in float64, with c such that they add up to round(density x entries).

    Raises UsageError as `check_scores` does, for negative scores, and where fewer entries than that have any score.
    """
    check_scores(scores, density)
    flat = torch.cat([s.detach().cpu().double().flatten() for s in scores.values()])
    count = round(density * len(flat))
    if bool((flat < 0).any()) or not bool(flat.isfinite().all()):
        raise UsageError("sampling needs scores that are finite and not negative: take their sizes, or the highest")
    if int((flat > 0).sum()) < count:
        raise UsageError(
            f"sampling: {int((flat > 0).sum())} of {len(flat)} entries have a score above 0, fewer than the {count} of "
            f"density {density:g}"
        )
    certain = torch.zeros(len(flat), dtype=torch.bool)
    while True:
        rest = flat.masked_fill(certain, 0)
        share = rest * ((count - int(certain.sum())) / max(float(rest.sum()), 1e-300))
        more = (share >= CERTAIN) & ~certain
        if not bool(more.any()):
            break
        certain |= more
    share[certain] = 1
    sizes = [s.numel() for s in scores.values()]
    return {n: p.view_as(s) for (n, s), p in zip(scores.items(), torch.split(share, sizes), strict=True)}


def sampled(chances: Mapping[str, Tensor], generator: torch.Generator) -> Mask:
    """Return a mask that keeps each entry with its probability, and always as many as the probabilities add up to.

    Systematic sampling (Madow 1949) in random order: a comb of spacing 1 with a random offset over the running sum of
    the probabilities. Independent draws would miss the density by chance.
    """
    flat = torch.cat([p.flatten() for p in chances.values()])
    kept = flat == 1
    rest = (~kept & (flat > 0)).nonzero().flatten()
    rest = rest[torch.randperm(len(rest), generator=generator)]
    count = round(float(flat[rest].sum()))
    if count:
        running = flat[rest].cumsum(0)
        offset = torch.rand((), generator=generator, dtype=torch.float64)
        teeth = (torch.arange(count, dtype=torch.float64) + offset) * (running[-1] / count)
        kept[rest[torch.searchsorted(running, teeth, right=True)]] = True
    return split(kept, chances)


def rescaled(weights: Mapping[str, Tensor], mask: Mask, chances: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return mask x weight / probability: its mean over masks is the weight itself, 0 where the probability is 0."""
    return {
        n: torch.where(mask.kept[n], w.double() / chances[n].clamp(min=1e-300), 0.0).to(w.dtype)
        for n, w in weights.items()
    }
