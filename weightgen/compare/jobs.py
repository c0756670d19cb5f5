"""One training of a race: from what decides it to a directory that says how it went, made once."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from weightgen.compare.measured import Trained, read_measured, read_scores, unusable
from weightgen.compare.pictures import artist, steps_shown
from weightgen.compare.runs import Run
from weightgen.errors import CheckError, InputError
from weightgen.models.architecture import Architecture
from weightgen.publishing.checkpoint import publish
from weightgen.publishing.manifest import check
from weightgen.publishing.work_directory import remove_work, work_directory
from weightgen.recipe import CompareRecipe
from weightgen.starts.agreement import architecture_of
from weightgen.starts.start import Start, parse_starts
from weightgen.starts.tokenizer import data_directory
from weightgen.tasks import make_task
from weightgen.training.accelerator import is_main_process, wait_for_everyone
from weightgen.training.flops import count_step
from weightgen.training.loop import train
from weightgen.training.outcome import Diverged
from weightgen.training.scoring import score
from weightgen.training.settings import settings_of
from weightgen.training.task import Split, Task
from weightgen.training.threads import use_threads

TUNING = 1000
"""Added to the seeds of learning-rate trials, which must not share their luck with the runs that count."""

RESULT = "result.json"
PICTURES = "pictures"
"""Folder of the first seed's run, where the task has something to show."""

PATIENCE = 30.0
"""Seconds that a job waits for its directory: the workers of a race that was killed stop soon, and save before."""


@dataclass(frozen=True)
class Job:
    """A trial of a learning rate, or a run that counts."""

    start: int
    """Position among the recipe's starts."""
    learning_rate: float
    seed: int | None
    """Number of the run; None for a trial."""
    steps: int

    def directory(self, out: Path, start: Start) -> Path:
        """Return where it is published."""
        return job_directory(out, self.start, start.name, self.seed, f"lr-{self.learning_rate:g}")


def job_directory(out: Path, position: int, name: str, seed: int | None, trial: str) -> Path:
    """Return where a start's run with a seed is published, or without one its trial."""
    folder = "".join(c if c.isalnum() or c in "-_." else "-" for c in name)
    where = out / ("trials" if seed is None else "runs") / f"{position + 1:02d}-{folder}"
    return where / (trial if seed is None else f"seed-{seed}")


@dataclass(frozen=True)
class Setup:
    """What all jobs of a race share."""

    starts: list[Start]
    architecture: Architecture
    task: Task


def set_up(recipe: CompareRecipe, anew: bool = False) -> Setup:
    """Open the starts and the data of a race, once, or `anew`: a second race in one process may find others there.

    Raises WeightgenError where they do not fit together.
    """
    if anew:
        _set_up.cache_clear()
    return _set_up(recipe.model_dump_json())


@lru_cache(maxsize=1)
def _set_up(text: str) -> Setup:
    recipe = CompareRecipe.model_validate_json(text)
    use_threads(recipe.threads)
    starts = parse_starts(recipe.start)
    architecture = architecture_of(starts, recipe.model, recipe.model_args)
    return Setup(starts, architecture, make_task(recipe, architecture, data_directory(recipe, *starts)))


def marks_of(recipe: CompareRecipe, steps: int, shown: Sequence[int] = ()) -> tuple[int, ...]:
    """Return the steps at which runs are scored: 0, 1 %, 10 % and 100 % of the budget, between them, and those `shown`.

    Half of the marks are spread over logarithms, since starts differ most early, and half evenly.
    """
    count = recipe.marks // 2
    early = np.geomspace(max(1, recipe.steps / 100), recipe.steps, count)
    even = np.linspace(0, recipe.steps, recipe.marks - count + 1)
    found = {round(float(x)) for x in (*early, *even, 0, recipe.steps / 100, recipe.steps / 10)}
    # A control with a longer budget is scored at the same steps, and evenly after them.
    step = max(1, recipe.steps // max(1, recipe.marks // 2))
    return tuple(sorted(found | {steps} | set(range(recipe.steps, steps, step)) | set(shown)))


def carry_out(recipe: CompareRecipe, job: Job, out: Path, step_done: Callable[[int], None]) -> Path:
    """Train one job and publish what came of it; `step_done` hears how many steps it has taken."""
    setup = set_up(recipe)
    start, task = setup.starts[job.start], setup.task
    target = job.directory(out, start)
    if finished(target):
        return target
    offset = TUNING if job.seed is None else job.seed
    settings_recipe = recipe.model_copy(update={"steps": job.steps})
    shown = steps_shown(task, recipe.steps)
    marks = () if job.seed is None else marks_of(recipe, job.steps, shown)
    settings = settings_of(settings_recipe, job.learning_rate, marks, offset)
    model = start.model(setup.architecture, recipe.seed + offset)
    flops = count_step(model, task, recipe.batch_size) * job.steps
    work = target.with_name(target.name + ".training")
    result: dict[str, Any] = {
        "start": start.name,
        "seed": job.seed,
        "learning_rate": job.learning_rate,
        "steps": job.steps,
    }
    result |= {"marks": marks, "flops": flops, "seconds": 0.0, "diverged": None, "value": None}
    scores: dict[str, np.ndarray] = {}
    drawn = work / PICTURES
    draw = artist(task, drawn, shown if job.seed == 0 else (), is_main_process())
    with work_directory(work, patience=PATIENCE):
        try:
            states = work / "states"
            trained = train(
                model, task, settings, states, progress=lambda n, total, words="": step_done(n), at_mark=draw
            )
            scores["curve"] = trained.curve
            split: Split = "tune" if job.seed is None else "test"
            scores[split] = score(trained.model, task, split)
            for name in task.further if split == "test" else ():
                scores[f"test-{name}"] = score(trained.model, task, "test", name)
            result |= {"seconds": trained.seconds, "value": float(task.metric.of(scores[split]))}
        except Diverged as error:
            result["diverged"], scores["curve"] = error.step, error.curve
        if is_main_process():
            with publish(target, force=True) as staged:
                (staged.path / RESULT).write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
                for name, values in scores.items():
                    np.save(staged.path / f"{name}.npy", values.astype(np.float32), allow_pickle=False)
                if drawn.is_dir():
                    shutil.copytree(drawn, staged.path / PICTURES)
                staged.manifest.update(stage="compare", recipe_hash=recipe.hash)
            remove_work(work)
    wait_for_everyone()  # the others read what the main process published
    return target


def finished(directory: Path) -> bool:
    """Whether a job was published, all of it."""
    try:
        check(directory)
    except (CheckError, InputError):
        return False
    return True


def read_value(directory: Path) -> float | None:
    """Return a trial's score, None where it diverged."""
    return read_measured(Trained, directory / RESULT).value


def read_run(directory: Path, validation: int, test: int) -> Run:
    """Return a finished run. One that diverged keeps the score of its first mark from there on, and for the test.

    Raises InputError where what is there is no run with scores of so many items.
    """
    found = read_measured(Trained, directory / RESULT)
    if found.seed is None or not found.marks:
        raise unusable(directory / RESULT, "expected a run, found a trial of a learning rate")
    count, whole = len(found.marks), found.diverged is None
    curve = read_scores(directory / "curve.npy", [count] if whole else range(count + 1), validation)
    if whole:
        scores = read_scores(directory / "test.npy", (), test)
    else:
        before = curve[:1] if len(curve) else np.zeros((1, validation), np.float32)
        curve = np.concatenate([curve, np.repeat(before, count - len(curve), axis=0)])
        scores = np.full(test, before.mean(), np.float32)
    return Run(
        found.start,
        found.seed,
        found.learning_rate,
        np.array(found.marks),
        curve,
        scores,
        found.seconds,
        found.flops,
        found.diverged,
    )
