"""The Python API: what the command line does, on names, directories or modules in memory."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weightgen.errors import UsageError
from weightgen.pipeline import Published, carry_out, filler, make_plan, prepare
from weightgen.recipe import (
    AverageRecipe,
    CollectRecipe,
    CompareRecipe,
    DiagnoseRecipe,
    FitRecipe,
    GenerateRecipe,
    InitRecipe,
    MetalearnRecipe,
    PruneRecipe,
    Recipe,
    SubcloneRecipe,
    TrainGeneratorRecipe,
    TrainRecipe,
    make_recipe,
)
from weightgen.subcloning.plan import Plan

if TYPE_CHECKING:
    import torch

    from weightgen.fit_signals import Made
    from weightgen.initialising import Initialised

_STAGES: dict[type[Recipe], tuple[str, str]] = {
    TrainRecipe: ("train_one", "train_one"),
    MetalearnRecipe: ("metalearning", "metalearn_one"),
    AverageRecipe: ("average_checkpoints", "average_checkpoints"),
    CollectRecipe: ("collect_weights", "collect"),
    TrainGeneratorRecipe: ("train_generator", "train_generator"),
    GenerateRecipe: ("generate_start", "generate_start"),
    PruneRecipe: ("pruning_start", "prune_start"),
}
"""Recipes that are carried out alike: module and function, imported when they are needed."""


def subclone(
    src: str | torch.nn.Module,
    dst: str | torch.nn.Module,
    out: str | Path | None = None,
    *,
    force: bool = False,
    **options: Any,
) -> Published | Plan:
    """Cut a small model's starting weights out of a larger pretrained one.

    With names or directories, writes a checkpoint directory to `out` and returns a Published. With two modules,
    loads the cut weights into `dst` in place and returns the Plan. `options` are the fields of a recipe
    (method, choose, heads, depth, scale, seed, ...). Raises WeightgenError for everything a caller can mend.
    """
    if isinstance(src, str) and isinstance(dst, str):
        if out is None:
            raise UsageError("subclone(src, dst, out): out is needed where src and dst are names")
        recipe = make_recipe(SubcloneRecipe, {"src": src, "dst": dst, **options})
        return carry_out(prepare(recipe), Path(out), force)
    if isinstance(src, str) or isinstance(dst, str):
        raise UsageError("subclone(src, dst): both are names, or both are modules")
    return _subclone_modules(src, dst, make_recipe(SubcloneRecipe, {"src": "memory", "dst": "memory", **options}))


def init(
    model: str | torch.nn.Module,
    method: str,
    out: str | Path | None = None,
    *,
    seed: int = 0,
    model_args: Mapping[str, Any] | None = None,
    force: bool = False,
    **options: Any,
) -> Initialised:
    """Write a model's starting weights down in closed form; `options` are the method's own (density, rank, ...).

    With a name or directory, draws the model as its library does and writes a checkpoint directory to `out`. With a
    module, sets its weights in place; what the method leaves alone keeps its values. Returns the plan, and the mask of
    a sparse method. `weightgen init --list` shows the methods. Raises WeightgenError for everything a caller can mend.

    >>> import torch, weightgen
    >>> model = torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.ReLU(), torch.nn.Linear(4, 1))
    >>> made = weightgen.init(model, "zero")
    >>> [(a.tensor, a.rule) for a in made.plan.assignments][2:]
    [('2.weight', 'ZerO, notebook'), ('2.bias', '0')]
    """
    from weightgen.initialising import initialise, initialise_module, prepare_init

    if not isinstance(model, str):
        if out is not None or model_args is not None:
            raise UsageError("init(module, method): a module is set in place, without out and model_args")
        return initialise_module(model, method, seed, options)
    if out is None:
        raise UsageError("init(name, method, out): out is needed where the model is a name")
    fields = {"model": model, "method": method, "seed": seed, "model_args": model_args or {}, "method_args": options}
    return initialise(prepare_init(make_recipe(InitRecipe, fields)), Path(out), force=force)


def fit(start: str | Path, data: str | Path, out: str | Path | None = None, **options: Any) -> Made:
    """Fit the signals of a file, folder or zip from a learned start; returns fields, scores and curve.

    `options` are the fields of a fit recipe (steps, render, optimizer, rate, ...). Raises WeightgenError.
    """
    from weightgen.fit_signals import fit_signals

    where = None if out is None else str(out)
    return fit_signals(make_recipe(FitRecipe, {"start": str(start), "data": str(data), "out": where, **options}))


def run_recipe(recipe: Recipe, out: str | Path | None = None, *, force: bool = False) -> Published | Path:
    """Carry out a recipe; `out` overrides the recipe's own. Returns what was published, or its directory."""
    where = Path(out or recipe.out or "")
    if where == Path():
        raise UsageError("the recipe has no 'out': say where to write")
    if isinstance(recipe, SubcloneRecipe):
        return carry_out(prepare(recipe), where, force)
    if isinstance(recipe, InitRecipe):
        from weightgen.initialising import initialise, prepare_init

        initialise(prepare_init(recipe), where, force=force)
    elif isinstance(recipe, DiagnoseRecipe):
        from weightgen.diagnosing import diagnose
        from weightgen.diagnostics.report import check_directory, write_report

        check_directory(where, force)
        write_report(diagnose(recipe), where)
    elif isinstance(recipe, FitRecipe):
        from weightgen.fit_signals import fit_signals

        fit_signals(recipe.model_copy(update={"out": str(where)}), force=force)
    elif isinstance(recipe, CompareRecipe):
        from weightgen.compare.field_race import race_fields
        from weightgen.compare.race import race

        (race_fields if recipe.task == "fit" else race)(recipe, where)
    else:
        module, function = _STAGES[type(recipe)]
        getattr(import_module(f"weightgen.{module}"), function)(recipe, where, force=force)
    return where


def _subclone_modules(src: torch.nn.Module, dst: torch.nn.Module, recipe: SubcloneRecipe) -> Plan:
    import torch

    from weightgen.models.architecture import describe, library_of
    from weightgen.models.source import match
    from weightgen.models.weights import MemoryWeights
    from weightgen.subcloning.methods import DEFAULTS, resolve_method
    from weightgen.subcloning.transfer import in_memory, initial_values, needs_initial

    origin = describe(library_of(src), type(src).__name__, src, {})
    target = describe(library_of(dst), type(dst).__name__, dst, {})
    weights = MemoryWeights({n: t for n, t in src.state_dict().items() if n in origin.shapes})
    source = match(None, origin, weights, None, "the source module")
    method = resolve_method(
        recipe.method or DEFAULTS[origin.library],
        recipe.choose,
        recipe.heads,
        recipe.depth,
        recipe.scale,
        recipe.importance,
    )
    plan = make_plan(recipe, method, source, target)
    values = in_memory(plan, weights, initial_values(target, needs_initial(plan), recipe.seed, filler(recipe, target)))
    state = dst.state_dict()
    with torch.no_grad():
        for name, value in values.items():
            state[name].copy_(torch.from_numpy(value.astype("float32") if value.dtype.kind == "V" else value))
    return plan
