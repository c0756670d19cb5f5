"""Compare: starts -> a race of trainings or of fits -> results and report."""

from __future__ import annotations

from pathlib import Path

from weightgen.compare.cards import write_evidence
from weightgen.compare.field_race import race_fields
from weightgen.compare.race import race
from weightgen.compare.requirement import meets, parse_requirement
from weightgen.compare.schema import Results
from weightgen.compare.text import results_text
from weightgen.console import SILENT, Reporter, shell_word
from weightgen.jobs.made import Made
from weightgen.recipe import CompareRecipe


def compare(recipe: CompareRecipe, out: Path, *, reporter: Reporter = SILENT, card: bool = False) -> Made[Results]:
    """Race, report, and say what was found; the code is 1 where what was required is not met.

    `card`: write what was found into the model card of each start that is a checkpoint.
    """
    if recipe.require is not None:
        parse_requirement(recipe.require)  # before the work, not after it
    with reporter.progress("racing") as progress:
        results = (race_fields if recipe.task == "fit" else race)(recipe, out, progress)
    if card:
        for directory in write_evidence(results):
            reporter.note(f"added what was found to {directory}/README.md")
    text = (
        f"{results_text(results)}\n\nreport: {shell_word(out / 'report.html')}\n"
        f"again:  weightgen run {shell_word(out / 'recipe.yaml')} --out {shell_word(out)}"
    )
    code = 0
    if recipe.require is not None:
        met, found = meets(results, recipe.require)
        text += f"\n{found}"
        code = 0 if met else 1
    return Made(out, dict(results), text, results, code)
