"""From a prune recipe to a sparse start: start -> scores -> mask -> publish, with the mask beside the weights."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from weightgen.card import load_text
from weightgen.checkpoint import check_target, publish
from weightgen.console import Update
from weightgen.diagnosing import prober_of
from weightgen.errors import UsageError
from weightgen.models.loading import save_model
from weightgen.preparation import versions
from weightgen.provenance import recorded_cost
from weightgen.pruning.card import pruned_card
from weightgen.pruning.freezing import first_tensors
from weightgen.pruning.masks import Mask, save_mask
from weightgen.pruning.sampled import rescaled
from weightgen.pruning_mask import GRAPHS, find_mask
from weightgen.recipe.pruning import PruneRecipe
from weightgen.sidecars import copy_sidecars
from weightgen.starts import architecture_of, parse_start


@dataclass(frozen=True)
class Pruned:
    """What was published."""

    directory: Path
    mask: Mask
    dropped: list[int]
    """Residual branches that were emptied."""
    trained: float
    """Share of all parameters that training can move."""
    load: str
    """Python expression that loads the start."""


def prune_start(recipe: PruneRecipe, out: Path, *, force: bool = False, progress: Update | None = None) -> Pruned:
    """Make a start sparse and publish it with its mask; a mask that the start has already stays in force.

    Raises UsageError for options that do not go together, scores that cannot be found for the model, and densities
    that cannot be reached; InputError for scores from a file that does not fit.
    """
    check_target(out.resolve(), force)
    _check(recipe)
    torch.set_num_threads(recipe.threads or os.cpu_count() or 1)
    start = parse_start(recipe.start)
    architecture = architecture_of([start], recipe.model, recipe.model_args)
    model = start.model(architecture, recipe.seed)
    source = start.source.directory if start.directory else None
    found = find_mask(recipe, model, prober_of(recipe, architecture, [start]), start.mask or Mask({}), progress)
    parameters = dict(model.named_parameters())
    names = first_tensors({n: p.numel() for n, p in parameters.items()}, recipe.freeze)
    mask = replace(found.mask, frozen=found.mask.frozen | frozenset(names))
    if recipe.rescale:
        drawn = {n: parameters[n].detach() for n in found.chances}
        model.load_state_dict(rescaled(drawn, mask, found.chances), strict=False)
    mask.apply_(model)
    own = recipe.model_copy(update={"out": None})
    with publish(out, force) as staged:
        save_model(model, architecture, staged.path)
        save_mask(mask, staged.path)
        width = getattr(getattr(architecture.model, "config", None), "hidden_size", None)
        copy_sidecars(source, None, staged.path, width)
        (staged.path / "recipe.yaml").write_text(own.to_yaml(), encoding="utf-8")
        card = pruned_card(own, architecture, mask, found.dropped, out.name)
        (staged.path / "README.md").write_text(card, encoding="utf-8")
        staged.manifest.update(
            stage="prune",
            recipe_hash=own.hash,
            seed=recipe.seed,
            density=mask.density,
            densities={n: round(d, 6) for n, d in mask.densities().items()},
            dropped_branches=found.dropped,
            frozen=sorted(mask.frozen),
            source_cost=recorded_cost(source),
            versions=versions(architecture.library),
        )
    return Pruned(out, mask, found.dropped, _trained(model, mask), load_text(architecture, str(out)))


def _check(recipe: PruneRecipe) -> None:
    """Raise UsageError for options of which one would have no effect beside the other."""
    if recipe.rescale and not recipe.sample:
        raise UsageError("--rescale divides by the probabilities of --sample: add it, or leave both out")
    graph = recipe.scores is None and recipe.score in GRAPHS
    ranked = recipe.across != "model" or (recipe.rounds or 1) > 1
    if recipe.sample and (graph or ranked):
        raise UsageError("--sample draws once, from the scores of all weights: leave out --across, --rounds and graphs")
    if graph and (ranked or recipe.drop_branches):
        raise UsageError(f"--score {recipe.score} scores nothing: leave out --across, --rounds and --drop-branches")


def _trained(model: nn.Module, mask: Mask) -> float:
    sizes = {n: p.numel() for n, p in model.named_parameters()}
    masked = {n: int((~kept).sum()) for n, kept in mask.kept.items()}
    still = sum(0 if n in mask.frozen else size - masked.get(n, 0) for n, size in sizes.items())
    return still / max(1, sum(sizes.values()))
