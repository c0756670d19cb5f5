"""From a recipe to a checkpoint: names -> source and target -> plan -> transfer -> publish."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

from weightgen import __version__
from weightgen.card import model_card
from weightgen.checkpoint import publish
from weightgen.errors import CoverageError, UsageError
from weightgen.models.architecture import Architecture, build, keep_layers, resized, write_config
from weightgen.models.derive import derive_pair
from weightgen.models.layout import Layout
from weightgen.models.names import Library, Reference, resolve
from weightgen.models.shards import Progress
from weightgen.models.source import Source, open_source
from weightgen.provenance import Hashing, check_sizes, recorded_cost
from weightgen.recipe import SubcloneRecipe
from weightgen.sidecars import copy_sidecars
from weightgen.subcloning.by_shape import plan_by_shape
from weightgen.subcloning.methods import DEFAULTS, Method, resolve_method
from weightgen.subcloning.plan import Plan
from weightgen.subcloning.planner import Scores, build_plan
from weightgen.subcloning.transfer import Filler, Transferred, execute, initial_values, nbytes, needs_initial
from weightgen.subcloning.vocabulary import match_vocabularies

DTYPES = {"keep": None, "float32": "F32", "bfloat16": "BF16", "float16": "F16"}


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


def prepare(recipe: SubcloneRecipe, progress: Callable[[int, int], None] | None = None) -> Prepared:
    """Resolve names, open the source, measure importance where asked for, and plan."""
    reference = resolve(recipe.src)
    recipe = with_method(recipe, reference.library)
    method = _method(recipe)
    weights = Path(recipe.src_weights).expanduser() if recipe.src_weights else None
    target_reference = None if recipe.dst == "same" else resolve(recipe.dst)
    if target_reference is not None and target_reference.library != reference.library:
        raise UsageError(
            f"different families: '{recipe.src}' is a {reference.library} model, '{recipe.dst}' a "
            f"{target_reference.library} one; weights move within one library's layout"
        )
    source = open_source(reference, recipe.src_args, weights, recipe.allow_pickle)
    check_sizes(map(Path, source.weights.files))
    target = _target(recipe, reference, target_reference, source)
    tokenizer = Path(recipe.dst_tokenizer) if recipe.dst_tokenizer else None
    if tokenizer is None and target_reference is not None:
        tokenizer = target_reference.directory
    plan = make_plan(recipe, method, source, target, tokenizer, progress)
    _follow_depth(source, target, plan)
    return Prepared(recipe, source, target, plan, tokenizer)


def with_method(recipe: SubcloneRecipe, library: Library) -> SubcloneRecipe:
    """Return a recipe that names its method: the default of the source's library where it names none."""
    return recipe if recipe.method else recipe.model_copy(update={"method": DEFAULTS[library]})


def _method(recipe: SubcloneRecipe) -> Method:
    return resolve_method(
        recipe.method or "",
        recipe.choose,
        recipe.heads,
        recipe.depth,
        recipe.scale,
        recipe.importance,
        calibrated=recipe.calibrate is not None or recipe.scores is not None,
    )


def _target(
    recipe: SubcloneRecipe, reference: Reference, target_reference: Reference | None, source: Source
) -> Architecture:
    if target_reference is None:
        return resized(source.architecture, reference, recipe.dst_args)
    arguments = dict(recipe.dst_args)
    if target_reference.config and source.architecture.library == "transformers":
        # A preset says sizes only: the class and the vocabulary are the source's.
        config = build(target_reference, {}).config
        for key in ("vocab_size", "pad_token_id", "bos_token_id", "eos_token_id"):
            if hasattr(source.architecture.config, key):
                setattr(config, key, getattr(source.architecture.config, key))
        if source.architecture.config.model_type == config.model_type:
            config.architectures = [source.architecture.name]
        from weightgen.models.architecture import apply_arguments, build_transformers

        apply_arguments(config, arguments)
        return build_transformers(config)
    return build(target_reference, arguments)


def filler(recipe: SubcloneRecipe, target: Architecture) -> Filler | None:
    """Return what sets the weights that the source does not have, None where the target's library does."""
    name = recipe.fill
    if name is None:
        return None
    from weightgen import inits

    return lambda model: inits.apply(name, model, recipe.seed, architecture=target)


def _filled(plan: Plan, recipe: SubcloneRecipe, target: Architecture) -> Plan:
    """Note what the filler gives the tensors that are initialised; raises UsageError where it does not suit them."""
    if recipe.fill is None:
        return plan
    from weightgen import inits

    rules = {a.tensor: a.rule for a in inits.plan_of(recipe.fill, target, recipe.seed).written}
    tensors = tuple(
        replace(t, note=f"{t.note}; {recipe.fill}: {rules.get(t.name, 'left to the library')}")
        if t.source is None
        else t
        for t in plan.tensors
    )
    return replace(plan, method={**plan.method, "fill": recipe.fill}, tensors=tensors)


def make_plan(
    recipe: SubcloneRecipe,
    method: Method,
    source: Source,
    target: Architecture,
    tokenizer: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Plan:
    """Plan by the family's table, else by derived and proven axes, else by shape."""
    dtype = DTYPES[recipe.dtype]
    layouts, why = find_layouts(source.architecture, target)
    if layouts is None:
        plan = _filled(plan_by_shape(source, target, method, recipe.seed, dtype), recipe, target)
        return plan if not why else _with_warning(plan, why)
    scores = _scores(recipe, method, source, layouts[0], progress)
    vocabulary = None
    wanted = getattr(getattr(target.model, "config", None), "vocab_size", None)
    if wanted is not None and wanted != getattr(source.architecture.config, "vocab_size", None):
        vocabulary = match_vocabularies(source.directory, tokenizer, wanted)
    plan = build_plan(source, target, layouts, method, recipe.seed, scores, vocabulary, dtype)
    return _filled(plan, recipe, target)


def find_layouts(source: Architecture, target: Architecture) -> tuple[tuple[Layout, Layout] | None, str]:
    """Return the axes of both sides, or None and why; raises UsageError for two different families."""
    try:
        pair = source.layout(), target.layout()
    except CoverageError as error:
        return derive_pair(source, target), str(error)
    if pair[0] is None or pair[1] is None:
        return derive_pair(source, target), ""
    if pair[0].family.name != pair[1].family.name:
        raise UsageError(
            f"different families: the source is {pair[0].family.name} ({source.kind}), "
            f"the target {pair[1].family.name} ({target.kind})"
        )
    return (pair[0], pair[1]), ""


def _with_warning(plan: Plan, warning: str) -> Plan:
    return replace(plan, warnings=(*plan.warnings, warning))


def _scores(
    recipe: SubcloneRecipe,
    method: Method,
    source: Source,
    layout: Layout,
    progress: Callable[[int, int], None] | None,
) -> Scores | None:
    from weightgen.subcloning.importance import activations, magnitude
    from weightgen.subcloning.scores import load_scores, save_scores

    if recipe.scores:
        scores = load_scores(Path(recipe.scores), layout)
    elif recipe.calibrate and (method.choose == "importance" or method.depth == "influence"):
        from weightgen.models.loading import load_model
        from weightgen.subcloning.calibration import BATCH, batches

        model = load_model(source)
        statistic = method.importance if method.importance != "magnitude" else "activation"
        total = -(-recipe.calibrate_samples // BATCH)
        data = batches(source, Path(recipe.calibrate), recipe.calibrate_samples)
        report = (lambda done: progress(min(done, total), total)) if progress else None
        scores = activations(model, layout, data, statistic, report)
        if method.importance == "magnitude" and method.choose == "importance":
            scores = Scores(magnitude(source, layout).axes, scores.blocks, scores.flops)
    elif method.choose == "importance":
        scores = magnitude(source, layout)
    else:
        return None
    if recipe.save_scores:
        save_scores(scores, Path(recipe.save_scores))
    return scores


def _follow_depth(source: Source, target: Architecture, plan: Plan) -> None:
    """Give the target's per-layer config lists the entries of the blocks that were kept."""
    kept = plan.kept.get("layer")
    if target.library != "transformers" or kept is None:
        return
    depth = getattr(source.architecture.config, "num_hidden_layers", 0)
    for key, value in source.architecture.config.to_dict().items():
        if isinstance(value, list) and len(value) == depth and getattr(target.config, key, None) == value[: len(kept)]:
            setattr(target.config, key, list(value))
    keep_layers(target.config, depth, kept)


def carry_out(prepared: Prepared, out: Path, force: bool = False, progress: Progress | None = None) -> Published:
    """Execute a plan into a directory that is published whole or not at all."""
    recipe = prepared.recipe.model_copy(update={"out": None})  # where it was written is no part of what it is
    source, target, plan = prepared.source, prepared.target, prepared.plan
    with publish(out, force, needed=sum(nbytes(t) for t in plan.tensors)) as staged:
        hashing = Hashing(map(Path, source.weights.files))
        initial = initial_values(target, needs_initial(plan), recipe.seed, filler(recipe, target))
        found: Transferred = execute(plan, source.weights, initial, staged.path, progress)
        write_config(target, staged.path)
        width = getattr(getattr(target.model, "config", None), "hidden_size", None)
        copy_sidecars(source.directory, prepared.tokenizer, staged.path, width)
        (staged.path / "recipe.yaml").write_text(recipe.to_yaml(), encoding="utf-8")
        (staged.path / "plan.json").write_text(json.dumps(plan.to_json(), indent=1) + "\n", encoding="utf-8")
        (staged.path / "README.md").write_text(model_card(recipe, source, target, plan, out), encoding="utf-8")
        staged.manifest.update(
            stage="subclone",
            method=dict(plan.method),
            recipe_hash=recipe.hash,
            plan_hash=plan.hash,
            seed=recipe.seed,
            source=hashing.result(),
            nonfinite=dict(found.nonfinite),
            cost={"calibration_flops": plan.flops},
            source_cost=recorded_cost(source.directory),  # not part of the cost: a pretrained source is there already
            versions={"weightgen": __version__, **{n: version(n) for n in ("torch", target.library, "safetensors")}},
        )
        size = sum(f.stat().st_size for f in staged.path.rglob("*") if f.is_file())
    return Published(out, plan, found.nonfinite, size)
