"""`weightgen metalearn`: learn a start for coordinate networks from a set of signals."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from weightgen.commands.options import Force, Json, PrintRecipe, Quiet, show_recipe
from weightgen.console import Console
from weightgen.errors import UsageError
from weightgen.recipe import MetalearnRecipe


def metalearn(
    data: str,
    /,
    *,
    recipe: Annotated[MetalearnRecipe | None, Parameter(name="*")] = None,
    print_recipe: PrintRecipe = False,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Learn, from a set of signals, the weights from which a new one is fitted in a few steps.

    The same command goes on where it was stopped.

    Parameters
    ----------
    data
        Folder or zip of signals; its folders train and test (or validation), where it has them, say which is which.
    """
    console = Console(json, quiet)
    found = (recipe or MetalearnRecipe()).model_copy(update={"data": data})
    if print_recipe:
        return show_recipe(found, console)
    return carry_out_metalearning(found, console, force)


def carry_out_metalearning(recipe: MetalearnRecipe, console: Console, force: bool) -> int:
    """Learn, recommend, publish, and say what was made and what to type next."""
    from weightgen.metalearning import metalearn_one

    if recipe.out is None:
        raise UsageError("where to? Add --out DIR")
    with console.progress("learning") as told:

        def searching(done: int, total: int, words: str) -> None:
            told(done, total, f"choosing rates: {words}")

        made = metalearn_one(recipe, Path(recipe.out), force=force, progress=told, searching=searching)
    data = {
        "directory": recipe.out,
        made.metric: made.value,
        "steps": recipe.inner_steps,
        "signals": made.signals,
        "seconds": round(made.seconds, 1),
        "recommended": {b: r.model_dump() for b, r in made.start.recommended.items()},
    }
    shown = shlex.quote(recipe.out)
    text = (
        f"wrote {recipe.out}/: {made.metric} {made.value:.2f} after {recipe.inner_steps} steps, mean of "
        f"{made.signals} test signals ({made.seconds:.0f} s)\n"
        f"fit:    weightgen fit {shown} SIGNAL --steps 2 --render out{made.start.kind.suffixes[0]}\n"
        f"check:  weightgen verify {shown}"
    )
    console.result(data, text)
    return 0
