"""`weightgen diagnose`: measure starts before any training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from weightgen.commands.options import Force, Json, PrintRecipe, Quiet, show_recipe
from weightgen.console import Console
from weightgen.recipe import DiagnoseRecipe


def diagnose(
    starts: Annotated[list[str] | None, Parameter(consume_multiple=True, negative=())] = None,
    /,
    *,
    recipe: Annotated[DiagnoseRecipe | None, Parameter(name="*")] = None,
    show: Annotated[bool, Parameter(name="--list", negative=())] = False,
    print_recipe: PrintRecipe = False,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Measure starts before any training: variance, Jacobian, kernel, scores of weights, sharpness, ...

    Parameters
    ----------
    starts
        Checkpoint directories, initialisers (he-normal, orthogonal, ...), or random: several stand side by side.
    show
        Show the measures and stop.
    json
        Print one JSON object: the contents of diagnosis.json.
    """
    console = Console(json, quiet)
    if show:
        return _show_measures(console)
    found = recipe or DiagnoseRecipe()
    found = found.model_copy(update={"start": starts or found.start})
    if print_recipe:
        return show_recipe(found, console)
    return carry_out_diagnosis(found, console, force)


def carry_out_diagnosis(recipe: DiagnoseRecipe, console: Console, force: bool) -> int:
    """Measure, write the report where one is wanted, and say what was found."""
    from weightgen.diagnosing import diagnose as measure
    from weightgen.diagnostics.report import FILES, check_directory, write_report
    from weightgen.diagnostics.text import diagnosis_text

    out = None if recipe.out is None else Path(recipe.out)
    if out is not None:
        check_directory(out, force)  # before the work, not after it
    with console.progress("measuring") as progress:
        diagnosis = measure(recipe, progress)
    text = diagnosis_text(diagnosis)
    if out is not None:
        write_report(diagnosis, out)
        text += f"\n\nreport: {out / FILES[0]}\nagain:  weightgen run {out}/recipe.yaml --out {out}"
    console.result(diagnosis.to_json(), text)
    return 0


def _show_measures(console: Console) -> int:
    import textwrap

    from weightgen.diagnostics import COMPARISONS, MEASURES

    width = max(map(len, [*MEASURES, *COMPARISONS])) + 2
    data, lines = {}, []
    for title, known in (("measures", MEASURES), ("comparisons", COMPARISONS)):
        data[title] = {n: {"paper": m.paper, "says": m.says, "cost": m.cost} for n, m in known.items()}
        if title == "comparisons":
            lines += ["", "With --against START:", ""]
        for name, measure in known.items():
            told = f"{measure.says} ({measure.paper}; {measure.cost})"
            lines += textwrap.wrap(told, 80, initial_indent=name.ljust(width), subsequent_indent=" " * width)
    console.result(data, "\n".join(lines))
    return 0
