"""`weightgen average`: one checkpoint from several of the same architecture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from weightgen.commands.options import Force, Json, PrintRecipe, Quiet, show_recipe
from weightgen.console import Console
from weightgen.errors import UsageError
from weightgen.recipe import AverageRecipe


def average(
    *checkpoints: str,
    recipe: Annotated[AverageRecipe | None, Parameter(name="*")] = None,
    print_recipe: PrintRecipe = False,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Average checkpoints of one architecture, keeping the variance that the weights of each had.

    Parameters
    ----------
    checkpoints
        Two or more checkpoints: directories, timm:NAME.TAG, hf:ORG/NAME, hf-hub:ORG/NAME.
    """
    console = Console(json, quiet)
    found = (recipe or AverageRecipe()).model_copy(update={"checkpoints": list(checkpoints)})
    if print_recipe:
        return show_recipe(found, console)
    return carry_out_averaging(found, console, force)


def carry_out_averaging(recipe: AverageRecipe, console: Console, force: bool) -> int:
    """Average, publish, and say what was made and what to type next."""
    from weightgen.average_checkpoints import average_checkpoints
    from weightgen.console import human_bytes

    if recipe.out is None:
        raise UsageError("where to? Add --out DIR")
    with console.progress("averaging") as progress:
        made = average_checkpoints(recipe, Path(recipe.out), force=force, progress=progress)
    for text, names in made.unused.items():
        console.warn(f"{text}: {len(names)} tensors have no place in {made.architecture} and are left out: {names[0]}")
    low, mean, high = made.factors
    scaled = "the plain mean" if recipe.plain else f"deviations x {mean:.3g} (from {low:.3g} to {high:.3g})"
    data = {
        "directory": recipe.out,
        "bytes": made.bytes,
        "load": made.load,
        "factors": {"smallest": low, "mean": mean, "largest": high},
        "unused": {text: list(names) for text, names in made.unused.items()},
        "seconds": round(made.seconds, 2),
    }
    console.result(
        data,
        f"wrote {recipe.out}/ ({human_bytes(made.bytes)}) in {made.seconds:.1f} s: "
        f"{len(recipe.checkpoints)} checkpoints, {scaled}\n"
        f"load:   {made.load}\ncheck:  weightgen verify {recipe.out}",
    )
    return 0
