"""`weightgen prune`: a sparse start, published with its mask."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from weightgen.commands.options import Force, Json, PrintRecipe, Quiet, show_recipe
from weightgen.console import Console
from weightgen.errors import UsageError
from weightgen.recipe import PruneRecipe


def prune(
    start: str,
    /,
    *,
    recipe: Annotated[PruneRecipe | None, Parameter(name="*")] = None,
    print_recipe: PrintRecipe = False,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Make a start sparse before any training, and publish it with its mask, which training keeps to.

    Parameters
    ----------
    start
        Checkpoint directory, an initialiser's name, or random; one of the last two needs --model.
    """
    console = Console(json, quiet)
    found = (recipe or PruneRecipe()).model_copy(update={"start": start})
    if print_recipe:
        return show_recipe(found, console)
    return carry_out_pruning(found, console, force)


def carry_out_pruning(recipe: PruneRecipe, console: Console, force: bool) -> int:
    """Prune, publish, and say what was made and what to type next."""
    from weightgen.pruning_start import prune_start

    if recipe.out is None:
        raise UsageError("where to? Add --out DIR")
    with console.progress("scoring") as progress:
        made = prune_start(recipe, Path(recipe.out), force=force, progress=progress)
    mask, densities = made.mask, made.mask.densities()
    emptied = [n for n, density in densities.items() if density == 0]
    if emptied and not made.dropped:
        console.warn(f"nothing is left of {len(emptied)} layers, first {emptied[0]}: try --across erk, or more rounds")
    total = sum(kept.numel() for kept in mask.kept.values())
    sparse = min(densities, key=lambda n: densities[n])
    dense = max(densities, key=lambda n: densities[n])
    gone = f"\nemptied residual branches: {', '.join(map(str, made.dropped))}" if made.dropped else ""
    frozen = f"\n{len(mask.frozen)} tensors are frozen" if mask.frozen else ""
    data = {
        "directory": recipe.out,
        "density": mask.density,
        "densities": densities,
        "dropped_branches": made.dropped,
        "frozen": sorted(mask.frozen),
        "trained": made.trained,
        "load": made.load,
    }
    console.result(
        data,
        f"wrote {recipe.out}/: {mask.count:,} of {total:,} weights stay ({mask.density:.2%})\n"
        f"least:  {densities[sparse]:.2%} of {sparse}\nmost:   {densities[dense]:.2%} of {dense}{gone}{frozen}\n"
        f"training moves {made.trained:.2%} of all parameters\n"
        f"load:   {made.load}\ncheck:  weightgen verify {recipe.out}\n"
        f"train:  weightgen train --start {recipe.out} --task ...",
    )
    return 0
