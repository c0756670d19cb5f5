"""`weightgen train-generator`: train a generator of weights on a weights dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from weightgen.commands.options import Force, Json, PrintRecipe, Quiet, show_recipe
from weightgen.console import Console
from weightgen.errors import UsageError
from weightgen.recipe import TrainGeneratorRecipe


def train_generator(
    data: str,
    /,
    *,
    recipe: Annotated[TrainGeneratorRecipe | None, Parameter(name="*")] = None,
    print_recipe: PrintRecipe = False,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Train a diffusion model that denoises networks' weights from prompts.

    The same command goes on where it was stopped.

    Parameters
    ----------
    data
        Weights dataset, as weightgen collect writes it.
    """
    console = Console(json, quiet)
    found = (recipe or TrainGeneratorRecipe()).model_copy(update={"data": data})
    if print_recipe:
        return show_recipe(found, console)
    return carry_out_generator_training(found, console, force)


def carry_out_generator_training(recipe: TrainGeneratorRecipe, console: Console, force: bool) -> int:
    """Train, publish, and say what was made and what to type next."""
    from weightgen.train_generator import train_generator as make

    if recipe.out is None:
        raise UsageError("where to? Add --out DIR")
    with console.progress("training") as progress:
        made = make(recipe, Path(recipe.out), force=force, progress=progress)
    data = {
        "directory": recipe.out,
        made.metric: made.value,
        "concepts": made.concepts,
        "parameters": made.parameters,
        "seconds": round(made.seconds, 1),
    }
    text = (
        f"wrote {recipe.out}/: {made.metric} {made.value:.2f} in one step on concepts that were not learned\n"
        f"from; {made.parameters:,} parameters, {made.concepts} concepts ({made.seconds:.0f} s)\n"
        f'generate: weightgen generate "sepia tone" --generator {recipe.out} --out START\n'
        f"check:    weightgen verify {recipe.out}"
    )
    console.result(data, text)
    return 0
