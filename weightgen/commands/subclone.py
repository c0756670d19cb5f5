"""`weightgen subclone`: flags to a recipe, a recipe to a plan, a plan to a checkpoint."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from weightgen.commands.options import DryRun, Force, Json, PrintRecipe, Quiet, show_recipe
from weightgen.console import Console
from weightgen.recipe import SubcloneRecipe


def subclone(
    *,
    recipe: Annotated[SubcloneRecipe, Parameter(name="*")],
    dry_run: DryRun = False,
    print_recipe: PrintRecipe = False,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Cut a small model's starting weights out of a larger pretrained one."""
    console = Console(json, quiet)
    if print_recipe:
        return show_recipe(recipe, console)
    return carry_out_recipe(recipe, None, console, dry_run, force)


def default_out(recipe: SubcloneRecipe) -> Path:
    """Return a directory name from source and target, in the current directory."""

    def short(text: str) -> str:
        return re.sub(r"[^\w.-]+", "-", text.rstrip("/").split("/")[-1].split(":")[-1]).strip("-.") or "model"

    made = short(recipe.dst) if recipe.dst != "same" else "small"
    return Path(f"{made}-from-{short(recipe.src)}")


def carry_out_recipe(recipe: SubcloneRecipe, out: Path | None, console: Console, dry_run: bool, force: bool) -> int:
    """Show the plan, write the checkpoint, say what was made and what to type next."""
    import time

    from weightgen.card import load_text
    from weightgen.checkpoint import check_target
    from weightgen.commands.plan_text import plan_summary, plan_text
    from weightgen.console import human_bytes
    from weightgen.pipeline import carry_out, prepare

    directory = out or (Path(recipe.out) if recipe.out else default_out(recipe))
    if not dry_run:
        check_target(directory, force)
    started = time.monotonic()
    with console.progress("calibrating") as progress:
        prepared = prepare(recipe, progress)
    plan = prepared.plan
    for warning in plan.warnings:
        console.warn(warning)
    if dry_run:
        console.result(plan.to_json() | plan_summary(prepared), plan_text(prepared))
        return 0
    console.note(plan_text(prepared) + "\n")
    with console.progress("transferring") as progress:
        published = carry_out(prepared, directory, force, progress)
    if published.nonfinite:
        worst = next(iter(published.nonfinite))
        console.warn(
            f"{sum(published.nonfinite.values())} NaN or infinite values came from the source "
            f"({len(published.nonfinite)} tensors, first {worst})"
        )
    seconds = time.monotonic() - started
    load = load_text(prepared.target, str(directory))
    data = {"directory": str(directory), "bytes": published.bytes, "load": load} | plan_summary(prepared)
    console.result(
        data | {"nonfinite": dict(published.nonfinite), "seconds": round(seconds, 2)},
        f"wrote {directory}/ ({human_bytes(published.bytes)}) in {seconds:.1f} s\n"
        f"load:   {load}\ncheck:  weightgen verify {directory}",
    )
    return 0
