"""The Python API: what the command line does, on names, directories or modules in memory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from weightgen.errors import UsageError
from weightgen.pipeline import Published, carry_out, make_plan, prepare
from weightgen.recipe import (
    CompareRecipe,
    FitRecipe,
    MetalearnRecipe,
    Recipe,
    SubcloneRecipe,
    TrainRecipe,
    make_recipe,
)
from weightgen.subcloning.plan import Plan

if TYPE_CHECKING:
    import torch

    from weightgen.fit_signals import Made


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


def fit(start: str | Path, data: str | Path, out: str | Path | None = None, **options: Any) -> Made:
    """Fit the signals of a file, folder or zip from a learned start; returns fields, scores and curve.

    `options` are the fields of a fit recipe (steps, render, optimizer, rate, ...). Raises WeightgenError.
    """
    from weightgen.fit_signals import fit_signals

    where = None if out is None else str(out)
    return fit_signals(make_recipe(FitRecipe, {"start": str(start), "data": str(data), "out": where, **options}))


def run_recipe(recipe: Recipe, out: str | Path | None = None, *, force: bool = False) -> Published | Path:
    """Carry out a recipe; `out` overrides the recipe's own. Returns what was published, or its directory."""
    where = out or recipe.out
    if where is None:
        raise UsageError("the recipe has no 'out': say where to write")
    if isinstance(recipe, SubcloneRecipe):
        return carry_out(prepare(recipe), Path(where), force)
    if isinstance(recipe, TrainRecipe):
        from weightgen.train_one import train_one

        return train_one(recipe, Path(where), force=force).directory
    if isinstance(recipe, MetalearnRecipe):
        from weightgen.metalearning import metalearn_one

        return metalearn_one(recipe, Path(where), force=force).directory
    if isinstance(recipe, FitRecipe):
        from weightgen.fit_signals import fit_signals

        fit_signals(recipe.model_copy(update={"out": str(where)}), force=force)
        return Path(where)
    assert isinstance(recipe, CompareRecipe)
    from weightgen.compare.field_race import race_fields
    from weightgen.compare.race import race

    (race_fields if recipe.task == "fit" else race)(recipe, Path(where))
    return Path(where)


def _subclone_modules(src: torch.nn.Module, dst: torch.nn.Module, recipe: SubcloneRecipe) -> Plan:
    import torch

    from weightgen.models.architecture import describe
    from weightgen.models.names import Library
    from weightgen.models.source import match
    from weightgen.models.weights import MemoryWeights
    from weightgen.subcloning.methods import DEFAULTS, resolve_method
    from weightgen.subcloning.transfer import in_memory, initial_values, needs_initial

    def library(module: torch.nn.Module) -> Library:
        return "transformers" if hasattr(module, "config") and hasattr(module, "base_model_prefix") else "timm"

    origin = describe(library(src), type(src).__name__, src, {})
    target = describe(library(dst), type(dst).__name__, dst, {})
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
    values = in_memory(plan, weights, initial_values(target, needs_initial(plan), recipe.seed))
    state = dst.state_dict()
    with torch.no_grad():
        for name, value in values.items():
            state[name].copy_(torch.from_numpy(value.astype("float32") if value.dtype.kind == "V" else value))
    return plan
