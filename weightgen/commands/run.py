"""`weightgen run`: carry out a recipe."""

from __future__ import annotations

from pathlib import Path

from weightgen.commands.compare import carry_out_race
from weightgen.commands.fit import carry_out_fits
from weightgen.commands.metalearn import carry_out_metalearning
from weightgen.commands.options import DryRun, Force, Json, Quiet
from weightgen.commands.subclone import carry_out_recipe
from weightgen.commands.train import carry_out_training
from weightgen.console import Console
from weightgen.errors import UsageError
from weightgen.recipe import CompareRecipe, FitRecipe, MetalearnRecipe, SubcloneRecipe, TrainRecipe, load_recipe


def run(
    recipe: Path,
    /,
    *,
    out: Path | None = None,
    dry_run: DryRun = False,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Carry out a recipe (one YAML file is one reproducible run).

    Parameters
    ----------
    recipe
        The recipe file.
    out
        Directory to write, instead of the recipe's own.
    """
    console, found = Console(json, quiet), load_recipe(recipe)
    if out is not None:
        found = found.model_copy(update={"out": str(out)})
    if isinstance(found, SubcloneRecipe):
        return carry_out_recipe(found, None, console, dry_run, force)
    if dry_run:
        raise UsageError(f"--dry-run shows the plan of a subclone recipe; this is a {found.stage} recipe")
    if isinstance(found, TrainRecipe):
        return carry_out_training(found, console, force)
    if isinstance(found, MetalearnRecipe):
        return carry_out_metalearning(found, console, force)
    if isinstance(found, FitRecipe):
        return carry_out_fits(found, console, force)
    assert isinstance(found, CompareRecipe)
    return carry_out_race(found, console)
