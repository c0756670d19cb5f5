"""The Python API: what the command line does, on names, directories or modules in memory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weightgen.console import SILENT
from weightgen.errors import UsageError
from weightgen.jobs.table import JOBS
from weightgen.recipe import FitRecipe, InitRecipe, Recipe, SubcloneRecipe, make_recipe

if TYPE_CHECKING:
    import torch

    from weightgen.jobs.fit import Fitted
    from weightgen.jobs.init import Initialised
    from weightgen.jobs.subclone import Published
    from weightgen.subcloning.plan import Plan


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
    from weightgen.jobs.subclone import subclone as subclone_names
    from weightgen.jobs.subclone import subclone_modules

    if isinstance(src, str) and isinstance(dst, str):
        if out is None:
            raise UsageError("subclone(src, dst, out): out is needed where src and dst are names")
        recipe = make_recipe(SubcloneRecipe, {"src": src, "dst": dst, **options})
        return subclone_names(recipe, Path(out), force=force).result
    if isinstance(src, str) or isinstance(dst, str):
        raise UsageError("subclone(src, dst): both are names, or both are modules")
    return subclone_modules(src, dst, make_recipe(SubcloneRecipe, {"src": "memory", "dst": "memory", **options}))


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
    from weightgen.jobs.init import init as init_name
    from weightgen.jobs.init import initialise_module

    if not isinstance(model, str):
        if out is not None or model_args is not None:
            raise UsageError("init(module, method): a module is set in place, without out and model_args")
        return initialise_module(model, method, seed, options)
    if out is None:
        raise UsageError("init(name, method, out): out is needed where the model is a name")
    fields = {"model": model, "method": method, "seed": seed, "model_args": model_args or {}, "method_args": options}
    return init_name(make_recipe(InitRecipe, fields), Path(out), force=force).result


def fit(start: str | Path, data: str | Path, out: str | Path | None = None, **options: Any) -> Fitted:
    """Fit the signals of a file, folder or zip from a learned start; returns fields, scores and curve.

    `options` are the fields of a fit recipe (steps, render, optimizer, rate, ...). Raises WeightgenError.
    """
    from weightgen.jobs.fit import fit as fit_signals

    where = None if out is None else Path(out)
    recipe = make_recipe(FitRecipe, {"start": str(start), "data": str(data), **options})
    return fit_signals(recipe, where).result


def run_recipe(recipe: Recipe, out: str | Path | None = None, *, force: bool = False) -> Published | Path:
    """Carry out a recipe; `out` overrides the recipe's own. Returns what was published, or its directory."""
    where = Path(out or recipe.out or "")
    if where == Path():
        raise UsageError("the recipe has no 'out': say where to write")
    made = JOBS[recipe.stage].carry_out(recipe, where, force=force, reporter=SILENT)
    found: Published | Path = made.result if isinstance(recipe, SubcloneRecipe) else where
    return found
