"""`weightgen train`: train one model and publish it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from weightgen.console import Console
from weightgen.errors import UsageError
from weightgen.recipe import Flag, TrainRecipe


def train(
    *,
    recipe: Annotated[TrainRecipe, Parameter(name="*")],
    print_recipe: Flag = False,
    force: Flag = False,
    json: Flag = False,
    quiet: Flag = False,
) -> int:
    """Train one model from one start; the same command goes on where it was stopped.

    Parameters
    ----------
    print_recipe
        Print these options as a recipe and stop.
    force
        Replace an existing output directory.
    json
        Print one JSON object.
    quiet
        Print errors only.
    """
    console = Console(json, quiet)
    if print_recipe:
        console.result({"recipe": recipe.to_yaml()}, recipe.to_yaml().rstrip())
        return 0
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
