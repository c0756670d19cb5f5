"""From a compare recipe to results: learning-rate trials for each start, runs over seeds, statistics, report."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

from weightgen.compare.jobs import PICTURES, RESULT, Job, Setup, carry_out, marks_of, read_run, read_value, set_up
from weightgen.compare.measured import unusable
from weightgen.compare.pictures import pictures, steps_shown
from weightgen.compare.rates import best_rate, next_rate
from weightgen.compare.report import write_report
from weightgen.compare.results import NAME, RaceInfo, StartInfo, assemble, check_results
from weightgen.compare.saved import SAVED, cost_of, lineage, refuse_other_race
from weightgen.compare.schema import Results
from weightgen.console import Progress, shell_word
from weightgen.errors import CheckError, UsageError, printable
from weightgen.models.names import resolve
from weightgen.publishing.files import write_file
from weightgen.publishing.versions import environment, versions
from weightgen.publishing.work_directory import hold
from weightgen.recipe import CompareRecipe
from weightgen.starts.start import Start
from weightgen.training.accelerator import end, is_main_process
from weightgen.training.flops import count_step
from weightgen.training.interruption import Interrupted
from weightgen.training.workers import carry_out_all, workers_of


def race(recipe: CompareRecipe, out: Path, progress: Progress | None = None) -> Results:
    """Race the starts of a recipe; `out` keeps every finished run, and the same call goes on where it was stopped.

    Raises UsageError (starts and data that do not fit; another race in `out`), CheckError (every trial of a start
    diverged), InputError (broken files, a killed worker), Interrupted.
    """
    recipe = recipe.model_copy(update={"out": None, "threads": recipe.threads or 1})
    refuse_other_race(recipe, out)
    setup = set_up(recipe, anew=True)
    baseline = _baseline(setup)
    for start in setup.starts:
        setup.task.check(start.model(setup.architecture, recipe.seed))
    with hold(out):
        if is_main_process():
            write_file(out / SAVED, recipe.to_yaml().encode())
        budgets = [_budget(recipe, setup, s) for s in setup.starts]
        total = sum(budgets) * (recipe.lr_trials + recipe.seeds)
        report = progress or (lambda done, total, words: None)
        schedule = _Schedule(recipe, setup, budgets)
        try:
            carry_out_all(
                carry_out,
                recipe,
                out,
                schedule.first(),
                schedule.then,
                workers_of(recipe),
                lambda done: report(done, total, schedule.words()),
            )
        except Interrupted as stop:
            raise Interrupted(
                f"stopped, and saved in {out}.\nThe same command goes on from there; finished runs are kept."
            ) from stop
        results = _results(recipe, setup, schedule, baseline, out)
        if is_main_process():
            write_file(out / NAME, (json.dumps(results, indent=1, allow_nan=False) + "\n").encode())
            write_report([results], out)
    end()
    return results


class _Schedule:
    """Which job comes when: a start's trials one after another, then its runs."""

    def __init__(self, recipe: CompareRecipe, setup: Setup, budgets: Sequence[int]) -> None:
        self._recipe, self._setup, self.budgets = recipe, setup, budgets
        self._sign = 1 if setup.task.metric.higher_is_better else -1
        self.tried: list[dict[float, float | None]] = [{} for _ in setup.starts]
        """Learning rate -> score on the tuning set, None where it diverged; of each start."""
        self.runs: list[dict[int, Path]] = [{} for _ in setup.starts]
        """Seed -> where its run was published; of each start."""

    def first(self) -> list[Job]:
        return [self._trial(i) for i in range(len(self._setup.starts))]

    def then(self, job: Job, directory: Path) -> list[Job]:
        i = job.start
        if job.seed is not None:
            self.runs[i][job.seed] = directory
            return []
        self.tried[i][job.learning_rate] = read_value(directory)
        if len(self.tried[i]) < self._recipe.lr_trials:
            return [self._trial(i)]
        rate = self.rate(i)
        return [Job(i, rate, seed, self.budgets[i]) for seed in range(self._recipe.seeds)]

    def words(self) -> str:
        ended = sum(map(len, self.tried)) + sum(map(len, self.runs))
        return f"{ended}/{len(self._setup.starts) * (self._recipe.lr_trials + self._recipe.seeds)} runs"

    def rate(self, i: int) -> float:
        """Return the best learning rate of a start; raises CheckError where every one diverged."""
        if all(score is None for score in self.tried[i].values()):
            rates = ", ".join(f"{r:g}" for r in sorted(self.tried[i]))
            raise CheckError(
                f"start '{printable(self._setup.starts[i].name)}': the loss was not finite with any learning rate "
                f"tried ({rates}).\nStart the search lower, with --lr, in another --out."
            )
        return best_rate(self._signed(i))

    def _trial(self, i: int) -> Job:
        return Job(i, next_rate(self._signed(i), self._recipe.lr), None, self.budgets[i])

    def _signed(self, i: int) -> dict[float, float]:
        return {r: -math.inf if v is None else self._sign * v for r, v in self.tried[i].items()}


def _results(recipe: CompareRecipe, setup: Setup, schedule: _Schedule, baseline: str, out: Path) -> Results:
    sizes = setup.task.sizes
    runs = []
    for i, start in enumerate(setup.starts):
        marks = marks_of(recipe, schedule.budgets[i], steps_shown(setup.task, recipe.steps))
        for seed, directory in sorted(schedule.runs[i].items()):
            run = read_run(directory, sizes["validation"], sizes["test"])
            if (run.start, run.seed, tuple(run.marks.tolist())) != (start.name, seed, marks):
                raise unusable(directory / RESULT, f"expected run {seed} of '{start.name}', scored {len(marks)} times")
            runs.append(run)
    starts = [
        StartInfo(
            start.name,
            start.text,
            start.kind,
            schedule.rate(i),
            tuple(sorted(schedule.tried[i].items())),
            cost_of(_directory(start)),
            lineage(_directory(start)),
        )
        for i, start in enumerate(setup.starts)
    ]
    info = RaceInfo(
        title=f"{setup.architecture.name}: {recipe.task} on {Path(recipe.data).name}",
        task=recipe.task,
        data=recipe.data,
        metric=setup.task.metric,
        steps=recipe.steps,
        batch_size=recipe.batch_size,
        baseline=baseline,
        recipe=recipe.to_yaml(),
        command=f"weightgen run {SAVED} --out {shell_word(out.name)}",
        environment=environment() | versions(setup.architecture.library) | {"items": dict(sizes)},
    )
    directories = [paths[0] / PICTURES for paths in schedule.runs]
    steps = steps_shown(setup.task, recipe.steps)
    drawn = pictures(setup.task, [r for r in runs if r.seed == 0], directories, steps)
    found = assemble(runs, starts, info)
    return check_results({**found, "pictures": drawn}, NAME) if drawn else found


def _baseline(setup: Setup) -> str:
    found = next((s.name for s in setup.starts if s.kind == "random"), None)
    if found is None:
        raise UsageError("a race needs random weights to measure against: add --start random")
    return found


def _budget(recipe: CompareRecipe, setup: Setup, start: Start) -> int:
    """Return a start's steps: `scratch-flops` trains longer, by what making the other start cost."""
    if start.kind != "scratch-flops":
        return recipe.steps
    others = [s for s in setup.starts if s.kind == "checkpoint"]
    cost = max((cost_of(_directory(s)) for s in ([start] if start.directory else others)), default=0.0)
    step = count_step(start.model(setup.architecture, recipe.seed), setup.task, recipe.batch_size)
    return recipe.steps + math.ceil(cost / step)


def _directory(start: Start) -> Path | None:
    return resolve(start.directory).directory if start.directory else None
