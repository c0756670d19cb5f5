"""`weightgen run`: carry out a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from weightgen.commands.subclone import carry_out_recipe
from weightgen.console import Console
from weightgen.recipe import load_recipe

Flag = Annotated[bool, Parameter(negative=())]


def run(
    recipe: Path,
    /,
    *,
    out: Path | None = None,
    dry_run: Flag = False,
    force: Flag = False,
    json: Flag = False,
    quiet: Flag = False,
) -> int:
    """Carry out a recipe (one YAML file is one reproducible run).

    Parameters
    ----------
    recipe
        The recipe file.
    out
        Directory to write, instead of the recipe's own.
    dry_run
        Show the plan and stop.
    force
        Replace an existing output directory.
    json
        Print one JSON object.
    quiet
        Print errors only.
    """
    return carry_out_recipe(load_recipe(recipe), out, Console(json, quiet), dry_run, force)
