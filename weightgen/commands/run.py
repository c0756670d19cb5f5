"""`weightgen run`: carry out a recipe."""

from __future__ import annotations

from pathlib import Path

from weightgen.commands.of_jobs import carry_out, refuse_texts
from weightgen.commands.options import DryRun, Force, Json, Quiet
from weightgen.console import Console
from weightgen.jobs.table import JOBS, load_recipe


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
    found = load_recipe(recipe)
    if out is not None:
        said = {"out": str(out)}
        refuse_texts(said)
        found = found.model_copy(update=said)
    return carry_out(JOBS[found.stage], found, Console(json, quiet), dry_run=dry_run, force=force)
