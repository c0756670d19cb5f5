"""Which weights of a start stay: scores of the diagnostics, or graphs, made into one mask as a recipe says."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from weightgen.console import Progress
from weightgen.diagnostics.gradsign import agreement
from weightgen.diagnostics.measure import Probe
from weightgen.diagnostics.probing import Prober, settle
from weightgen.diagnostics.saliency import grasp_scores, snip_scores
from weightgen.diagnostics.synflow import synflow_scores
from weightgen.errors import UsageError
from weightgen.inits.roles import roles
from weightgen.models.masks import Mask
from weightgen.pruning.branches import branch_totals, lowest, without
from weightgen.pruning.choose import Scores, in_rounds, restricted
from weightgen.pruning.graphs import Graph, graph_mask, sparsest
from weightgen.pruning.sampled import probabilities, sampled
from weightgen.pruning.scores import magnitude_scores, random_scores, read_scores
from weightgen.recipe.pruning import PruneRecipe

SCORES: dict[str, Callable[[Probe], Scores]] = {
    "snip": snip_scores,
    "grasp": grasp_scores,
    "synflow": lambda probe: synflow_scores(probe)[0],
    "gradsign": agreement,
    "magnitude": lambda probe: magnitude_scores(probe.weights()),
    "random": lambda probe: random_scores(probe.weights(), probe.generator()),
}
GRAPHS = ("small-world", "scale-free")
WITHOUT_DATA = ("synflow", "magnitude", "random")
ROUNDS = {"synflow": 100}


@dataclass(frozen=True)
class Found:
    """A mask, and how it came about."""

    mask: Mask
    dropped: list[int]
    """Residual branches that it empties."""
    chances: Mapping[str, Tensor]
    """Probability of each weight to stay, where the mask was drawn."""


def find_mask(
    recipe: PruneRecipe, model: nn.Module, prober: Prober, before: Mask, progress: Progress | None = None
) -> Found:
    """Return the mask of a recipe for a model, within the mask that it has `before`; the model is left as it is.

    Raises UsageError where scores, branches or probabilities cannot be found, InputError for scores in a broken file.
    """
    score, dropped = _scorer(recipe, model, prober, progress), list[int]()
    if recipe.drop_branches:
        places = roles(model)
        dropped = lowest(branch_totals(score(before), places), recipe.drop_branches)
        before = before & without(dict(model.named_parameters()), places, dropped)
    if recipe.scores is None and recipe.score in GRAPHS:
        return Found(_of_graphs(recipe, prober(model)[0]) & before, dropped, {})
    if recipe.sample:
        chances = probabilities(restricted(score(before), before, 0.0), recipe.density)
        drawn = sampled(chances, torch.Generator().manual_seed(recipe.seed))
        return Found(drawn & before, dropped, chances)

    def left(mask: Mask | None) -> Scores:
        return restricted(score(before if mask is None else mask & before), before)

    return Found(in_rounds(left, recipe.density, rounds_of(recipe), recipe.across) & before, dropped, {})


def rounds_of(recipe: PruneRecipe) -> int:
    """Return how often a recipe scores what is left."""
    return recipe.rounds or (1 if recipe.scores else ROUNDS.get(recipe.score, 1))


def _scorer(
    recipe: PruneRecipe, model: nn.Module, prober: Prober, progress: Progress | None
) -> Callable[[Mask], Scores]:
    """Return what scores a copy of the model under a mask."""
    if recipe.scores is not None:
        given = read_scores(Path(recipe.scores), dict(model.named_parameters()))
        return lambda mask: given
    done, rounds = 0, rounds_of(recipe)

    def score(mask: Mask) -> Scores:
        nonlocal done
        own = copy.deepcopy(model)
        mask.apply_(own)
        if progress is not None:
            progress(min(done, rounds), rounds, f"{recipe.score}")
        done += 1
        probe = prober(own)[0]
        return SCORES[recipe.score](probe if recipe.score in WITHOUT_DATA else settle(probe))

    return score


def _of_graphs(recipe: PruneRecipe, probe: Probe) -> Mask:
    """Return the masks of graphs, one a layer; layers too narrow for a graph of the density stay dense."""
    kind: Graph = "small-world" if recipe.score == "small-world" else "scale-free"
    wide = {n: w for n, w in probe.weights().items() if sparsest(w.shape) <= recipe.density}
    if not wide:
        raise UsageError(f"density: no layer is wide enough for a graph of density {recipe.density:g}: ask for more")
    generator = torch.Generator().manual_seed(recipe.seed)
    return Mask({n: graph_mask(w.shape, recipe.density, kind, generator) for n, w in wide.items()})
