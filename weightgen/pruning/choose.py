"""Masks from scores: the highest stay, over all layers together or in each of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import torch
from torch import Tensor

from weightgen.errors import UsageError, printable
from weightgen.inits.eoi import erk_densities
from weightgen.models.masks import Mask

Scores = Mapping[str, Tensor]
"""Parameter -> a number for each of its entries; the higher is kept."""
Across = Literal["model", "layer", "erk"]


def highest(scores: Scores, density: float, across: Across = "model") -> Mask:
    """Return the mask that keeps the highest scores, round(density x entries) of them exactly.

    `model`: of all entries together (class-blind pruning, See et al. 2016); `layer`: of each tensor the same share
    (class-uniform); `erk`: of each tensor its Erdos-Renyi-Kernel share. Of equal scores the first stay: a threshold
    alone would keep all of them or none. Raises UsageError for a density outside (0, 1] or scores that are no numbers.
    """
    check_scores(scores, density)
    if across == "model":
        flat = torch.cat([s.flatten() for s in scores.values()])
        return split(_top(flat, round(density * len(flat))), scores)
    wanted = densities(scores, density, across)
    return Mask({n: _top(s.flatten(), round(wanted[n] * s.numel())).view_as(s) for n, s in scores.items()})


def densities(scores: Scores, density: float, across: Across) -> dict[str, float]:
    """Return the share of each tensor that is to stay, where not all are ranked together."""
    if across == "erk":
        return dict(zip(scores, erk_densities([s.shape for s in scores.values()], density), strict=True))
    return dict.fromkeys(scores, density)


def in_rounds(score: Callable[[Mask | None], Scores], density: float, rounds: int, across: Across = "model") -> Mask:
    """Return the mask after `rounds` of scoring what is left and keeping density^(k / rounds) of all entries.

    `score` is given the mask so far, None at first. SynFlow needs about 100: in one round it empties whole layers, as
    each layer's scores have the same sum and those of a large layer are the lowest (Tanaka et al. 2020, section 6).
    Raises UsageError as `highest` does, and for less than one round.
    """
    if rounds < 1:
        raise UsageError(f"rounds: expected at least 1, found {rounds}")
    mask: Mask | None = None
    for k in range(1, rounds + 1):
        scores = score(mask)
        mask = highest(scores if mask is None else restricted(scores, mask), density ** (k / rounds), across)
    assert mask is not None
    return mask


def restricted(scores: Scores, mask: Mask, instead: float = -torch.inf) -> Scores:
    """Return the scores with `instead` where a mask has set weights to zero."""
    return {n: s.masked_fill(~mask.kept[n], instead) if n in mask.kept else s for n, s in scores.items()}


def check_scores(scores: Scores, density: float) -> None:
    """Raise UsageError for a density outside (0, 1], for no scores, and for scores that are not a number."""
    if not 0 < density <= 1:
        raise UsageError(f"density: expected more than 0 and at most 1, found {density:g}")
    if not scores:
        raise UsageError("scores: expected those of at least one tensor")
    odd = next((n for n, s in scores.items() if bool(s.isnan().any())), None)
    if odd is not None:
        raise UsageError(f"scores: '{printable(odd)}' has some that are no numbers")


def split(kept: Tensor, like: Scores) -> Mask:
    """Return the mask of flat booleans over the entries of all tensors, in their order."""
    sizes = [s.numel() for s in like.values()]
    parts = torch.split(kept, sizes)
    return Mask({n: part.view_as(s) for (n, s), part in zip(like.items(), parts, strict=True)})


def _top(scores: Tensor, count: int) -> Tensor:
    """Return which of the scores (n,) are the `count` highest, the first of equal ones."""
    scores = scores.detach().cpu().double()
    if count == 0:
        return torch.zeros(len(scores), dtype=torch.bool)
    threshold = scores.kthvalue(len(scores) - count + 1).values
    kept = scores > threshold
    equal = (scores == threshold).nonzero().flatten()
    kept[equal[: count - int(kept.sum())]] = True
    return kept
