"""`weightgen train`: train one model and publish it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from weightgen.commands.options import Force, Json, PrintRecipe, Quiet, show_recipe
from weightgen.console import Console
from weightgen.errors import UsageError
from weightgen.recipe import TrainRecipe


def train(
    *,
    recipe: Annotated[TrainRecipe, Parameter(name="*")],
    print_recipe: PrintRecipe = False,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Train one model from one start; the same command goes on where it was stopped."""
    console = Console(json, quiet)
    if print_recipe:
        return show_recipe(recipe, console)
    return carry_out_training(recipe, console, force)


def carry_out_training(recipe: TrainRecipe, console: Console, force: bool) -> int:
    """Train, publish, and say what was made and what to type next."""
    from weightgen.train_one import train_one

    if recipe.out is None:
        raise UsageError("where to? Add --out DIR")
    with console.progress("training") as progress:
        made = train_one(recipe, Path(recipe.out), force=force, progress=progress)
    data = {"directory": recipe.out, made.metric: made.value, "steps": made.steps, "seconds": round(made.seconds, 1)}
    text = (
        f"wrote {recipe.out}/: {made.metric} {made.value:.4f} on test data after {made.steps} steps "
        f"({made.seconds:.0f} s)\ncheck:  weightgen verify {recipe.out}\n"
        f"cut:    weightgen subclone --src {recipe.out} --dst same --dst-args ..."
    )
    console.result(data, text)
    return 0
