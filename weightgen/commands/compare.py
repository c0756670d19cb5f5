"""`weightgen compare`: race starts against each other; beside what every job's command has, --card."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from weightgen.commands.options import Flag, Json, PrintRecipe, Quiet
from weightgen.console import Console
from weightgen.recipe import CompareRecipe


def compare(
    *,
    recipe: Annotated[CompareRecipe, Parameter(name="*")],
    card: Flag = False,
    print_recipe: PrintRecipe = False,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Race starts.

    Parameters
    ----------
    card
        Write what was found into the model card of each start that is a checkpoint.
    json
        Print one JSON object: the contents of results.json.
    """
    console = Console(json, quiet)
    if print_recipe:
        console.result({"recipe": recipe.to_yaml()}, recipe.to_yaml().rstrip())
        return 0
    from weightgen.jobs.compare import compare as race

    made = race(recipe, recipe.place(), reporter=console, card=card)
    console.result(dict(made.data), made.text)
    return made.code
