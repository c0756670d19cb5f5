"""`weightgen generate`: starting weights from a prompt."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from weightgen.commands.options import Force, Json, PrintRecipe, Quiet, show_recipe
from weightgen.console import Console
from weightgen.errors import UsageError, printable
from weightgen.recipe import GenerateRecipe

if TYPE_CHECKING:
    from weightgen.generate_start import Understood


def generate(
    prompt: str,
    /,
    *,
    recipe: Annotated[GenerateRecipe | None, Parameter(name="*")] = None,
    print_recipe: PrintRecipe = False,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Generate a network's starting weights from a prompt.

    Parameters
    ----------
    prompt
        What the network should do, in up to four clauses with strengths: "pencil sketch, strength 0.7, then sepia".
    """
    console = Console(json, quiet)
    found = (recipe or GenerateRecipe()).model_copy(update={"prompt": prompt})
    if print_recipe:
        return show_recipe(found, console)
    return carry_out_generation(found, console, force)


def carry_out_generation(recipe: GenerateRecipe, console: Console, force: bool) -> int:
    """Generate, publish, and say how the prompt was understood and what to type next."""
    from weightgen.generate_start import generate_start

    if recipe.out is None:
        raise UsageError("where to? Add --out DIR")
    made = generate_start(recipe, Path(recipe.out), force=force)
    for clause in made.understood:
        if clause.far:
            console.warn(_unlike(clause))
    if recipe.steps not in (None, made.steps):
        console.warn(
            f"--steps {recipe.steps}: the generator was trained to be asked in {made.steps}, others can ruin all"
        )
    said = "; ".join(_told(clause, made.sample) for clause in made.understood)
    lines = [f"wrote {recipe.out}/ in {made.seconds:.2f} s: {said}"]
    if made.errors:
        best, worst = made.errors[made.sample], max(made.errors)
        chosen = f"sample {made.sample} of {len(made.errors)}"
        lines.append(f"{chosen}: mean absolute error {best:.4f} on the pairs, the worst sample's {worst:.4f}")
    lines += [
        f"see:    weightgen apply {recipe.out} photo.png --out edited.png",
        f"check:  weightgen verify {recipe.out}",
    ]
    data = {
        "directory": recipe.out,
        "concept": [c.to_json() for c in made.understood],
        "seed": recipe.seed,
        "sample": made.sample,
        "errors": list(made.errors),
        "seconds": round(made.seconds, 3),
    }
    console.result(data, "\n".join(lines))
    return 0


def _told(clause: Understood, sample: int) -> str:
    """Samples after the first have other readings of the prompt."""
    read = f" (read as '{printable(clause.neighbours[0].text)}')" if clause.snapped and not sample else ""
    return f"{printable(clause.phrase.text)}{read}, strength {clause.phrase.strength:g}"


def _unlike(clause: Understood) -> str:
    near = ", ".join(f"'{printable(n.text)}' ({n.cosine:.2f})" for n in clause.neighbours)
    return (
        f"'{printable(clause.phrase.text)}' is unlike anything the generator was trained on. Nearest: {near or 'none'}"
    )
