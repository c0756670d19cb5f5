"""`weightgen collect`: networks of many concepts, as a dataset of blocks of weights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from weightgen.commands.options import Force, Json, PrintRecipe, Quiet, show_recipe
from weightgen.console import Console
from weightgen.errors import UsageError, printable
from weightgen.recipe import CollectRecipe


def collect(
    *,
    recipe: Annotated[CollectRecipe | None, Parameter(name="*")] = None,
    print_recipe: PrintRecipe = False,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Train a small network for each of many concepts, and collect their weights in a dataset.

    The same command goes on where it was stopped.
    """
    console, found = Console(json, quiet), recipe or CollectRecipe()
    if print_recipe:
        return show_recipe(found, console)
    return carry_out_collecting(found, console, force)


def carry_out_collecting(recipe: CollectRecipe, console: Console, force: bool) -> int:
    """Collect, publish, and say what was made and what to type next."""
    from weightgen.collect_weights import collect as collect_weights

    if recipe.out is None:
        raise UsageError("where to? Add --out DIR")
    with console.progress("collecting") as told:
        made = collect_weights(recipe, Path(recipe.out), force=force, progress=told)
    for name in made.skipped:
        console.warn(f"{printable(name)}: its values were not finite, and it was skipped")
    networks = sum(made.splits.values())
    data = {
        "directory": recipe.out,
        "networks": networks,
        "splits": dict(made.splits),
        "skipped": list(made.skipped),
        "blocks": made.blocks,
        "seconds": round(made.seconds, 1),
    }
    splits = ", ".join(f"{count} {split}" for split, count in made.splits.items())
    trained = f"; {made.seconds:.0f} s of training" if made.seconds else ""
    text = (
        f"wrote {recipe.out}/: {networks} networks of {made.blocks} blocks ({splits}{trained})\n"
        f'read:   datasets.load_dataset("{recipe.out}", "blocks")\n'
        f"check:  weightgen verify {recipe.out}"
    )
    console.result(data, text)
    return 0
