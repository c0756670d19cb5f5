"""`weightgen run`: carry out a recipe."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from weightgen.commands.average import carry_out_averaging
from weightgen.commands.collect import carry_out_collecting
from weightgen.commands.compare import carry_out_race
from weightgen.commands.diagnose import carry_out_diagnosis
from weightgen.commands.fit import carry_out_fits
from weightgen.commands.generate import carry_out_generation
from weightgen.commands.init import carry_out_init
from weightgen.commands.metalearn import carry_out_metalearning
from weightgen.commands.options import DryRun, Force, Json, Quiet
from weightgen.commands.prune import carry_out_pruning
from weightgen.commands.subclone import carry_out_recipe
from weightgen.commands.train import carry_out_training
from weightgen.commands.train_generator import carry_out_generator_training
from weightgen.console import Console
from weightgen.errors import UsageError
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
    load_recipe,
)

CARRY_OUT: dict[type[Recipe], Callable[[Any, Console, bool], int]] = {
    TrainRecipe: carry_out_training,
    MetalearnRecipe: carry_out_metalearning,
    FitRecipe: carry_out_fits,
    AverageRecipe: carry_out_averaging,
    CollectRecipe: carry_out_collecting,
    TrainGeneratorRecipe: carry_out_generator_training,
    GenerateRecipe: carry_out_generation,
    PruneRecipe: carry_out_pruning,
    DiagnoseRecipe: carry_out_diagnosis,
}


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
    if isinstance(found, InitRecipe):
        return carry_out_init(found, console, dry_run, force)
    if dry_run:
        raise UsageError(f"--dry-run shows the plan of a subclone or init recipe; this is a {found.stage} recipe")
    if isinstance(found, CompareRecipe):
        return carry_out_race(found, console)
    return CARRY_OUT[type(found)](found, console, force)
