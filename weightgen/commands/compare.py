"""`weightgen compare`: race starts against each other."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from weightgen.commands.options import Json, PrintRecipe, Quiet, show_recipe
from weightgen.console import Console
from weightgen.recipe import CompareRecipe, Flag

OUT = "race"


def compare(
    *,
    recipe: Annotated[CompareRecipe, Parameter(name="*")],
    card: Flag = False,
    print_recipe: PrintRecipe = False,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Race starts against each other: same data order, a learning-rate search for each, several seeds, one report.

    The same command goes on where it was stopped; finished runs are never repeated.

    Parameters
    ----------
    card
        Write what was found into the model card of each start that is a checkpoint.
    json
        Print one JSON object: the contents of results.json.
    """
    console = Console(json, quiet)
    if print_recipe:
        return show_recipe(recipe, console)
    return carry_out_race(recipe, console, card)


def carry_out_race(recipe: CompareRecipe, console: Console, card: bool = False) -> int:
    """Race, report, and say what was found."""
    from weightgen.compare.cards import write_evidence
    from weightgen.compare.field_race import race_fields
    from weightgen.compare.race import race
    from weightgen.compare.requirement import meets, parse_requirement
    from weightgen.compare.text import results_text

    out = Path(recipe.out or OUT)
    if recipe.require is not None:
        parse_requirement(recipe.require)  # before the work, not after it
    with console.progress("racing") as progress:
        results = (race_fields if recipe.task == "fit" else race)(recipe, out, progress)
    if card:
        for directory in write_evidence(results):
            console.note(f"added what was found to {directory}/README.md")
    text = f"{results_text(results)}\n\nreport: {out}/report.html\nagain:  weightgen run {out}/recipe.yaml --out {out}"
    code = 0
    if recipe.require is not None:
        met, found = meets(results, recipe.require)
        text += f"\n{found}"
        code = 0 if met else 1
    console.result(dict(results), text)
    return code
