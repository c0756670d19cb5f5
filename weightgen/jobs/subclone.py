"""Subclone: names -> source and target -> plan -> transfer -> publish."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from weightgen.console import SILENT, Progress, Reporter, human_bytes, shell_word
from weightgen.errors import InputError, UsageError, printable
from weightgen.jobs.made import Made
from weightgen.models.architecture import Architecture
from weightgen.models.finite import nonfinite_text
from weightgen.models.libraries import LIBRARIES
from weightgen.models.names import local_directory, local_path, resolve
from weightgen.models.reloading import check_loads
from weightgen.models.source import Source, open_source
from weightgen.models.stored_names import values_of
from weightgen.publishing.provenance import Hashing, check_sizes, recorded_cost
from weightgen.publishing.publication import check_out, publication
from weightgen.publishing.sidecars import copy_sidecars
from weightgen.recipe import SubcloneRecipe
from weightgen.subcloning.card import subcloned_card
from weightgen.subcloning.from_recipe import make_plan
from weightgen.subcloning.methods import method_of
from weightgen.subcloning.plan import Plan
from weightgen.subcloning.plan_text import plan_summary, plan_text
from weightgen.subcloning.transfer import Filler, execute, initial_values, nbytes, needs_initial

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Prepared:
    """Everything decided, nothing written."""

    recipe: SubcloneRecipe
    source: Source
    target: Architecture
    plan: Plan
    tokenizer: Path | None


@dataclass(frozen=True)
class Published:
    """What came out."""

    directory: Path
    plan: Plan
    nonfinite: Mapping[str, int]
    bytes: int


def subclone(recipe: SubcloneRecipe, out: Path, *, force: bool = False, reporter: Reporter = SILENT) -> Made[Published]:
    """Cut a small model's starting weights out of a larger pretrained one, and publish them."""
    check_out(
        out,
        force,
        [*map(local_directory, (recipe.src, recipe.dst)), *map(local_path, (recipe.src_weights, recipe.dst_tokenizer))],
        [local_path(recipe.calibrate), local_path(recipe.scores)],
    )
    started = time.monotonic()
    prepared = _prepared(recipe, reporter)
    source, target, plan = prepared.source, prepared.target, prepared.plan
    summary = plan_summary(plan, source)
    reporter.note(plan_text(plan, source, target) + "\n")
    with reporter.progress("transferring") as progress:
        published = carry_out(prepared, out, force, progress)
    if published.nonfinite:
        reporter.warn(nonfinite_text(published.nonfinite))
    seconds, load = time.monotonic() - started, target.adapter.load_text(target, str(out))
    data = {"directory": str(out), "bytes": published.bytes, "load": load} | summary
    data |= {"nonfinite": dict(published.nonfinite), "seconds": round(seconds, 2)}
    text = (
        f"wrote {shell_word(out)}/ ({human_bytes(published.bytes)}) in {seconds:.1f} s\n"
        f"load:   {load}\ncheck:  weightgen verify {shell_word(out)}"
    )
    return Made(out, data, text, published)


def plan(recipe: SubcloneRecipe, *, reporter: Reporter = SILENT) -> Made[Plan]:
    """Return the plan of what would be cut."""
    prepared = _prepared(recipe, reporter)
    made, source = prepared.plan, prepared.source
    data = made.to_json() | plan_summary(made, source)
    return Made(None, data, plan_text(made, source, prepared.target), made)


def _prepared(recipe: SubcloneRecipe, reporter: Reporter) -> Prepared:
    with reporter.progress("calibrating") as progress:
        prepared = prepare(recipe, progress)
    for warning in prepared.plan.warnings:
        reporter.warn(warning)
    return prepared


def prepare(recipe: SubcloneRecipe, progress: Progress | None = None) -> Prepared:
    """Resolve names, open the source, measure importance where asked for, and plan."""
    reference = resolve(recipe.src)
    library = LIBRARIES[reference.library]
    recipe = recipe.with_method(library.default_method)
    method = method_of(recipe)
    weights = Path(recipe.src_weights).expanduser() if recipe.src_weights else None
    named = None if recipe.dst == "same" else resolve(recipe.dst)
    if named is not None and named.library != reference.library:
        raise UsageError(
            f"different families: '{recipe.src}' is a {reference.library} model, '{recipe.dst}' a "
            f"{named.library} one; weights move within one library's layout"
        )
    source = open_source(reference, recipe.src_args, weights, recipe.allow_pickle)
    check_sizes(map(Path, source.weights.files))
    if source.missing and not recipe.allow_missing:
        raise InputError(f"{_lacks(source)}.\nCheck the file, or go on all the same: --allow-missing")
    if named is None:
        target = library.resized(source.architecture, reference, recipe.dst_args)
    else:
        target = library.target(source.architecture, named, recipe.dst_args)
    tokenizer = Path(recipe.dst_tokenizer) if recipe.dst_tokenizer else None
    if tokenizer is None and named is not None:
        tokenizer = named.directory
    made = with_filler(make_plan(recipe, method, source, target, tokenizer, progress), recipe, target)
    if source.architecture.remarks:
        made = replace(made, warnings=(*made.warnings, *source.architecture.remarks))
    if source.missing:
        made = replace(made, warnings=(*made.warnings, f"{_lacks(source)}: what the target has of them is drawn anew"))
    kept = made.kept.get("layer")
    if kept is not None:
        library.follow_depth(source.architecture, target, kept)
    return Prepared(recipe, source, target, made, tokenizer)


def _lacks(source: Source) -> str:
    """Say what a source lacks of its own architecture."""
    names = list(source.missing)
    return (
        f"the source lacks {len(names)} of the {len(source.architecture.shapes)} tensors of {source.architecture.name} "
        f"({values_of(source.architecture, names):,} values), first '{printable(names[0])}'"
    )


def filler(recipe: SubcloneRecipe, target: Architecture) -> Filler | None:
    """Return what sets the weights that the source does not have, None where the target's library does."""
    name = recipe.fill
    if name is None:
        return None
    from weightgen import inits

    return lambda model: inits.apply(name, model, recipe.seed, architecture=target)


def with_filler(made: Plan, recipe: SubcloneRecipe, target: Architecture) -> Plan:
    """Note what the filler gives the tensors that are initialised; raises UsageError where it does not suit them."""
    if recipe.fill is None:
        return made
    from weightgen import inits

    rules = {a.tensor: a.rule for a in inits.plan_of(recipe.fill, target, recipe.seed).written}
    tensors = tuple(
        replace(t, note=f"{t.note}; {recipe.fill}: {rules.get(t.name, 'left to the library')}")
        if t.source is None
        else t
        for t in made.tensors
    )
    return replace(made, method={**made.method, "fill": recipe.fill}, tensors=tensors)


def carry_out(prepared: Prepared, out: Path, force: bool = False, progress: Progress | None = None) -> Published:
    """Execute a plan into a directory that is published whole or not at all."""
    recipe, source, target, made = prepared.recipe, prepared.source, prepared.target, prepared.plan
    needed = sum(nbytes(t) for t in made.tensors)
    with publication(out, recipe, target.library, ["safetensors"], force=force, needed=needed) as published:
        hashing = Hashing(map(Path, source.weights.files))
        initial = initial_values(target, needs_initial(made), recipe.seed, filler(recipe, target))
        found = execute(made, source.weights, initial, published.path, progress)
        target.adapter.write_config(target, published.path)
        check_loads(target, published.path)
        copy_sidecars(source.directory, prepared.tokenizer, published.path, target.width)
        published.card = subcloned_card(recipe, source, target, made, out.name)
        published.plan, published.method = made, made.method
        published.fields = {
            "seed": recipe.seed,
            "source": hashing.result(),
            "nonfinite": dict(found.nonfinite),
            "cost": {"calibration_flops": made.flops},
            # not part of the cost: a pretrained source is there already
            "source_cost": recorded_cost(source.directory),
        }
    return Published(out, made, found.nonfinite, published.bytes)


def subclone_modules(src: torch.nn.Module, dst: torch.nn.Module, recipe: SubcloneRecipe) -> Plan:
    """Cut weights out of one module in memory, and load them into another in place; return the plan."""
    import torch

    from weightgen.models.libraries import described
    from weightgen.models.memory_weights import MemoryWeights
    from weightgen.models.source import match
    from weightgen.subcloning.transfer import in_memory

    origin, target = described(src), described(dst)
    recipe = recipe.with_method(origin.adapter.default_method)
    weights = MemoryWeights({n: t for n, t in src.state_dict().items() if n in origin.shapes})
    source = match(None, origin, weights, None, "the source module")
    made = with_filler(make_plan(recipe, method_of(recipe, calibrated=False), source, target), recipe, target)
    initial = initial_values(target, needs_initial(made), recipe.seed, filler(recipe, target))
    state = dst.state_dict()
    with torch.no_grad():
        for name, value in in_memory(made, weights, initial).items():
            state[name].copy_(torch.from_numpy(value.astype("float32") if value.dtype.kind == "V" else value))
    return made
