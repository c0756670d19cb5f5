"""A race of starts for coordinate networks: how well each fits held-out signals, after every budget of steps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from weightgen.compare.field_jobs import (
    SHOWN,
    SHOWN_AT,
    SIDE,
    FieldJob,
    FieldSetup,
    carry_out_fits,
    read_fits,
    read_rates,
    set_up,
)
from weightgen.compare.pictures import picture
from weightgen.compare.report import write_report
from weightgen.compare.results import NAME, RaceInfo, StartInfo, assemble, check_results
from weightgen.compare.saved import SAVED, cost_of, lineage, refuse_other_race
from weightgen.compare.schema import Results
from weightgen.console import Progress, shell_word
from weightgen.errors import UsageError
from weightgen.publishing.files import write_file
from weightgen.publishing.versions import environment, versions
from weightgen.publishing.work_directory import hold
from weightgen.recipe import CompareRecipe
from weightgen.training.accelerator import end, is_main_process
from weightgen.training.interruption import Interrupted
from weightgen.training.workers import carry_out_all, workers_of

ITSELF = "the signal"
HEEDED = {
    "stage",
    "task",
    "data",
    "start",
    "steps",
    "seeds",
    "lr_trials",
    "workers",
    "require",
    "seed",
    "threads",
    "out",
}
"""Fields of the recipe that a race of fits looks at."""


def race_fields(recipe: CompareRecipe, out: Path, progress: Progress | None = None) -> Results:
    """Race starts for fields; `out` keeps what is finished, and the same call goes on where it was stopped.

    For every start and budget the way of fitting is chosen on signals of its own, with the same number of trials;
    then each seed fits every test signal. A mark of the curve is what its budget reaches with its own settings.
    """
    _refuse_unheeded(recipe)
    if recipe.data == "digits" and not Path(recipe.data).exists():  # what other tasks take where nothing is said
        raise UsageError("--task fit needs --data: a folder, a zip or a file of the starts' kind of signals")
    recipe = recipe.model_copy(update={"out": None, "threads": recipe.threads or 1})
    refuse_other_race(recipe, out)
    setup = set_up(recipe, anew=True)
    baseline = next((e.name for e in setup.entries if e.kind == "random"), None)
    if baseline is None:
        raise UsageError("a race needs random weights to measure against: add --start random")
    with hold(out):
        if is_main_process():
            write_file(out / SAVED, recipe.to_yaml().encode())
        tuning, fitting = sum(setup.budgets) * recipe.lr_trials * len(setup.tune), sum(setup.budgets) * len(setup.test)
        total = len(setup.entries) * (tuning + recipe.seeds * fitting)
        report = progress or (lambda done, total, words: None)

        def then(job: FieldJob, directory: Path) -> list[FieldJob]:
            return [FieldJob(job.start, k, fitting) for k in range(recipe.seeds)] if job.seed is None else []

        first = [FieldJob(i, None, tuning) for i in range(len(setup.entries))]
        try:
            workers = workers_of(recipe)
            carry_out_all(carry_out_fits, recipe, out, first, then, workers, lambda done: report(done, total, ""))
        except Interrupted as stop:
            raise Interrupted(
                f"stopped, and saved in {out}.\nThe same command goes on from there; finished fits are kept."
            ) from stop
        results = _results(recipe, setup, baseline, out)
        if is_main_process():
            write_file(out / NAME, (json.dumps(results, indent=1, allow_nan=False) + "\n").encode())
            write_report([results], out)
    end()
    return results


def _refuse_unheeded(recipe: CompareRecipe) -> None:
    ignored = sorted(recipe.model_dump(exclude_defaults=True).keys() - HEEDED)
    if ignored:
        option = "--" + ignored[0].replace("_", "-")
        raise UsageError(f"{option} has no effect on a race of fits, whose trials choose how to fit: leave it out")


def _results(recipe: CompareRecipe, setup: FieldSetup, baseline: str, out: Path) -> Results:
    runs, starts = [], []
    for i, entry in enumerate(setup.entries):
        rates = read_rates(FieldJob(i, None, 0).directory(out, entry), setup.budgets)
        final = rates[recipe.steps].adaptation
        for seed in range(recipe.seeds):
            directory = FieldJob(i, seed, 0).directory(out, entry)
            runs.append(read_fits(directory, entry.name, seed, final.rate, setup.budgets, len(setup.test)))
        made_in = Path(entry.directory).expanduser() if entry.directory else None
        told = lineage(made_in)
        told["chosen"] = {str(b): r.model_dump() for b, r in rates.items()}
        rate = None if final.learned_steps else final.rate
        starts.append(StartInfo(entry.name, entry.text, entry.kind, rate, (), cost_of(made_in), told))
    counts = {"signals": {"tuned": len(setup.tune), "test": len(setup.test)}}
    info = RaceInfo(
        title=f"{setup.model.kind.name} signals: fits of {Path(recipe.data).name}",
        task=f"fit {setup.model.kind.name}",
        data=recipe.data,
        metric=setup.model.kind.metric,
        steps=recipe.steps,
        batch_size=len(setup.test),
        baseline=baseline,
        recipe=recipe.to_yaml(),
        command=f"weightgen run {SAVED} --out {shell_word(out.name)}",
        environment=environment() | versions("optuna") | counts,
    )
    found = assemble(runs, starts, info)
    drawn = _pictures(setup, out)
    return check_results({**found, "pictures": drawn}, NAME) if drawn else found


def _pictures(setup: FieldSetup, out: Path) -> list[dict[str, Any]]:
    """Return what the fits of the first seed look like, and the signals themselves."""
    found = []
    for number, signal in enumerate(setup.test[:SHOWN]):
        itself = FieldJob(0, 0, 0).directory(out, setup.entries[0]) / f"signal-{number}.png"
        if not itself.is_file():
            return []  # of this kind there are no pictures
        found.append(picture(signal.name, ITSELF, 0, 0.0, itself.read_bytes(), SIDE))
        for i, entry in enumerate(setup.entries):
            directory = FieldJob(i, 0, 0).directory(out, entry)
            scores = read_fits(directory, entry.name, 0, 1.0, setup.budgets, len(setup.test))
            for row, step in enumerate(scores.marks.tolist()):
                file = directory / f"signal-{number}-step-{step}.png"
                if step in SHOWN_AT and file.is_file():
                    score = float(scores.curve[row, number])
                    found.append(picture(signal.name, entry.name, step, score, file.read_bytes(), SIDE))
    return found
