"""`weightgen init`: a model's starting weights in closed form."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from weightgen.commands.options import DryRun, Force, Json, PrintRecipe, Quiet, show_recipe
from weightgen.console import Console
from weightgen.errors import UsageError
from weightgen.recipe import InitRecipe

List = Annotated[bool, Parameter(name="--list", negative=(), help="List the methods and stop.")]


def init(
    *,
    recipe: Annotated[InitRecipe | None, Parameter(name="*")] = None,
    show_list: List = False,
    dry_run: DryRun = False,
    print_recipe: PrintRecipe = False,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Write a model's starting weights down in closed form, by a method of the literature."""
    console = Console(json, quiet)
    if show_list:
        return _show_methods(console)
    if recipe is None:
        raise UsageError("of which model, and by which method? Add --model NAME --method NAME; methods: --list")
    if print_recipe:
        return show_recipe(recipe, console)
    return carry_out_init(recipe, console, dry_run, force)


def default_out(recipe: InitRecipe) -> Path:
    """Return a directory name from model and method, in the current directory."""
    model = re.sub(r"[^\w.-]+", "-", recipe.model.rstrip("/").split("/")[-1].split(":")[-1]).strip("-.") or "model"
    return Path(f"{model}-{recipe.method}")


def carry_out_init(recipe: InitRecipe, console: Console, dry_run: bool, force: bool) -> int:
    """Show the plan, write the checkpoint, say what was made and what to type next."""
    from weightgen.card import load_text
    from weightgen.checkpoint import check_target
    from weightgen.commands.init_text import init_summary, init_text
    from weightgen.console import human_bytes
    from weightgen.initialising import initialise, prepare_init

    directory = Path(recipe.out) if recipe.out else default_out(recipe)
    if not dry_run:
        check_target(directory, force)
    prepared = prepare_init(recipe)
    plan = prepared.plan
    if dry_run:
        console.result(plan.to_json() | init_summary(plan), init_text(plan))
        return 0
    console.note(init_text(plan) + "\n")
    made = initialise(prepared, directory, force=force)
    load = load_text(prepared.architecture, str(directory))
    density = made.mask.density if made.mask.kept else None
    masked = f"mask:   mask.safetensors keeps {density:.1%} of the masked weights\n" if density is not None else ""
    data = {"directory": str(directory), "bytes": made.bytes, "load": load, "density": density}
    console.result(
        data | init_summary(plan),
        f"wrote {directory}/ ({human_bytes(made.bytes)})\n{masked}load:   {load}\ncheck:  weightgen verify {directory}",
    )
    return 0


def _show_methods(console: Console) -> int:
    from weightgen.commands.init_text import list_data, list_text
    from weightgen.inits.registry import INITIALISERS

    console.result({"methods": list_data(INITIALISERS)}, list_text(INITIALISERS))
    return 0
