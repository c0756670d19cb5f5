"""Prune: start -> scores -> mask -> publish, with the mask beside the weights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from weightgen.console import SILENT, Reporter, shell_word
from weightgen.errors import UsageError
from weightgen.jobs.made import Made
from weightgen.jobs.probing import prober_of
from weightgen.models.finite import nonfinite_text, nonfinite_values
from weightgen.models.loading import save_model
from weightgen.models.masks import Mask, save_mask
from weightgen.models.names import local_directory, local_path
from weightgen.pruning.card import pruned_card
from weightgen.pruning.freezing import first_tensors
from weightgen.pruning.from_recipe import GRAPHS, find_mask
from weightgen.pruning.sampled import rescaled
from weightgen.publishing.provenance import recorded_cost
from weightgen.publishing.publication import check_out, publication
from weightgen.publishing.sidecars import copy_sidecars
from weightgen.recipe import PruneRecipe
from weightgen.starts.agreement import architecture_of
from weightgen.starts.start import parse_start
from weightgen.training.threads import use_threads


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


def prune(recipe: PruneRecipe, out: Path, *, force: bool = False, reporter: Reporter = SILENT) -> Made[Pruned]:
    """Make a start sparse and publish it with its mask; a mask that the start has already stays in force.

    Raises UsageError for options that do not go together, scores that cannot be found for the model, and densities
    that cannot be reached; InputError for scores from a file that does not fit.
    """
    _check(recipe)
    made_from = [local_directory(parse_start(recipe.start).directory), local_directory(recipe.model)]
    check_out(out, force, made_from, [local_path(recipe.data), local_path(recipe.scores)])
    use_threads(recipe.threads)
    start = parse_start(recipe.start)
    architecture = architecture_of([start], recipe.model, recipe.model_args)
    model = start.model(architecture, recipe.seed)
    source = start.source.directory if start.directory else None
    prober = prober_of(recipe, architecture, [start])
    with reporter.progress("scoring") as progress:
        found = find_mask(recipe, model, prober, start.mask or Mask({}), progress)
    parameters = dict(model.named_parameters())
    names = first_tensors({n: p.numel() for n, p in parameters.items()}, recipe.freeze)
    mask = replace(found.mask, frozen=found.mask.frozen | frozenset(names))
    if recipe.rescale:
        drawn = {n: parameters[n].detach() for n in found.chances}
        model.load_state_dict(rescaled(drawn, mask, found.chances), strict=False)
    mask.apply_(model)
    nonfinite = nonfinite_values(model.state_dict().items())
    if nonfinite:
        reporter.warn(nonfinite_text(nonfinite, "the start"))
    with publication(out, recipe, architecture.library, force=force) as published:
        save_model(model, architecture, published.path)
        save_mask(mask, published.path)
        copy_sidecars(source, None, published.path, architecture.width)
        published.card = pruned_card(recipe, architecture, mask, found.dropped, out.name)
        published.fields = {
            "seed": recipe.seed,
            "density": mask.density,
            "densities": {n: round(d, 6) for n, d in mask.densities().items()},
            "dropped_branches": found.dropped,
            "frozen": sorted(mask.frozen),
            "source_cost": recorded_cost(source),
        } | ({"nonfinite": nonfinite} if nonfinite else {})
    load = architecture.adapter.load_text(architecture, str(out))
    return _told(Pruned(out, mask, found.dropped, _trained(model, mask), load), reporter)


def _told(made: Pruned, reporter: Reporter) -> Made[Pruned]:
    """Say how much stays, where the most and the least, and what to type next."""
    mask, out, densities = made.mask, made.directory, made.mask.densities()
    emptied = [n for n, density in densities.items() if density == 0]
    if emptied and not made.dropped:
        reporter.warn(f"nothing is left of {len(emptied)} layers, first {emptied[0]}: try --across erk, or more rounds")
    total = sum(kept.numel() for kept in mask.kept.values())
    sparse = min(densities, key=lambda n: densities[n])
    dense = max(densities, key=lambda n: densities[n])
    gone = f"\nemptied residual branches: {', '.join(map(str, made.dropped))}" if made.dropped else ""
    frozen = f"\n{len(mask.frozen)} tensors are frozen" if mask.frozen else ""
    data = {
        "directory": str(out),
        "density": mask.density,
        "densities": densities,
        "dropped_branches": made.dropped,
        "frozen": sorted(mask.frozen),
        "trained": made.trained,
        "load": made.load,
    }
    text = (
        f"wrote {shell_word(out)}/: {mask.count:,} of {total:,} weights stay ({mask.density:.2%})\n"
        f"least:  {densities[sparse]:.2%} of {sparse}\nmost:   {densities[dense]:.2%} of {dense}{gone}{frozen}\n"
        f"training moves {made.trained:.2%} of all parameters\n"
        f"load:   {made.load}\ncheck:  weightgen verify {shell_word(out)}\n"
        f"train:  weightgen train --start {shell_word(out)} --task ..."
    )
    return Made(out, data, text, made)


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
