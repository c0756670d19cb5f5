"""Metalearn: signals -> field -> learning -> test-time search -> publish."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from weightgen.console import SILENT, Progress, Reporter, shell_word
from weightgen.errors import CheckError, printable
from weightgen.inr.card import start_card
from weightgen.inr.from_recipe import kind_of, load_signals, make_learner, started
from weightgen.inr.search import recommend
from weightgen.inr.signals.division import names_digest
from weightgen.inr.signals.kind import Signal
from weightgen.inr.start import Start, save_start
from weightgen.jobs.made import Made
from weightgen.models.names import local_path
from weightgen.publishing.publication import check_out, publication
from weightgen.publishing.retention import newest_complete
from weightgen.reading.json_files import read_json
from weightgen.recipe import MetalearnRecipe
from weightgen.training.accelerator import is_main_process
from weightgen.training.interruption import Interrupted
from weightgen.training.loop import train
from weightgen.training.outcome import Diverged, Trained
from weightgen.training.settings import marks_of, settings_of
from weightgen.training.threads import use_threads
from weightgen.training.working import working_beside

LOWER = "Try a lower --inner-rate or --lr."


@dataclass(frozen=True)
class Learned:
    """What was published."""

    directory: Path
    start: Start
    metric: str
    value: float
    """Mean over the signals held out for the end, after the steps that the start was learned for."""
    signals: int
    """How many those are."""
    seconds: float
    """Time in outer steps."""


def metalearn(recipe: MetalearnRecipe, out: Path, *, force: bool = False, reporter: Reporter = SILENT) -> Made[Learned]:
    """Learn a start and publish it. States lie in `OUT.training` until then, and are found there on a second call.

    Raises CheckError where learning diverged; what had been learned by the last good state is published all the same.
    """
    check_out(out, force, [], [local_path(recipe.data)])
    use_threads(recipe.threads)
    kind = kind_of(recipe)
    signals = load_signals(recipe, kind)
    model, task = make_learner(recipe, kind, signals)
    task.check(model)
    marks = marks_of(recipe.steps)
    settings = settings_of(recipe, recipe.lr, marks)
    diverged: str | None = None
    with reporter.progress("learning") as progress, working_beside(out) as work:
        try:
            trained = train(
                model, task, settings, work / "states", progress=progress, tracker=recipe.tracker, keep_end=True
            )
        except Diverged as error:
            trained, diverged = _last_good(error, model, work / "states")
        start, value = started(trained.model.cpu(), kind), math.nan  # which the main process finds
        if is_main_process():
            if recipe.trials:
                start = _searched(recipe, start, signals["tune"], work, progress)
            scores = _tested(start, signals["test"], recipe.inner_steps)
            curve = dict(zip(marks, kind.metric.of(trained.curve).tolist(), strict=diverged is None))
            value = float(np.mean(scores))
            if not math.isfinite(value):
                raise CheckError(f"{diverged or 'fits from the start are not finite'}.\n{LOWER}")
            evidence = {"metric": kind.metric.name, "split": "test", "items": len(scores), "value": value}
            with publication(out, recipe, "optuna", force=force) as published:
                save_start(start, published.path)
                published.card = start_card(recipe, start, evidence, out.name)
                published.fields = {
                    "seed": recipe.seed,
                    "threads": torch.get_num_threads(),
                    "evidence": evidence,
                    "curve": {str(step): round(v, 4) for step, v in curve.items()},
                    "signals": {split: len(found) for split, found in signals.items()},
                    "signal_names": names_digest(signals["train"], signals["tune"], signals["test"]),
                    "seconds": round(trained.seconds, 1),
                    "cost": {"meta_learning_flops": task.flops(model) * recipe.batch_size * recipe.steps},
                }
    if diverged is not None:
        raise CheckError(f"{diverged}, published in {printable(str(out))}.\n{LOWER}")
    return _told(recipe, Learned(out, start, kind.metric.name, value, len(signals["test"]), trained.seconds))


def _searched(recipe: MetalearnRecipe, start: Start, signals: list[Signal], work: Path, progress: Progress) -> Start:
    """Return a start that recommends how to fit from it."""

    def searching(done: int, total: int, words: str = "") -> None:
        progress(done, total, f"choosing rates: {words}")

    try:
        found = recommend(start, signals, recipe.budget, recipe.trials, recipe.seed, searching)
    except KeyboardInterrupt as stop:
        told = Interrupted(
            f"stopped while rates were chosen; what was learned is saved in {printable(str(work))}.\n"
            "The same command goes on from there."
        )
        told.is_told = True
        raise told from stop
    return replace(start, recommended=found)


def _told(recipe: MetalearnRecipe, made: Learned) -> Made[Learned]:
    data = {
        "directory": str(made.directory),
        made.metric: made.value,
        "steps": recipe.inner_steps,
        "signals": made.signals,
        "seconds": round(made.seconds, 1),
        "recommended": {b: r.model_dump() for b, r in made.start.recommended.items()},
    }
    shown = shell_word(made.directory)
    text = (
        f"wrote {shown}/: {made.metric} {made.value:.2f} after {recipe.inner_steps} steps, mean of "
        f"{made.signals} test signals ({made.seconds:.0f} s)\n"
        f"fit:    weightgen fit {shown} SIGNAL --steps 2 --render out{made.start.kind.suffixes[0]}\n"
        f"check:  weightgen verify {shown}"
    )
    return Made(made.directory, data, text, made)


def _last_good(error: Diverged, model: torch.nn.Module, states: Path) -> tuple[Trained, str]:
    """Return what had been learned when the newest state was saved, and what to say; raises the error without one."""
    kept = newest_complete(states)
    if kept is None:
        raise CheckError(f"the loss was not finite at step {error.step}.\n{LOWER}") from error
    told = read_json(kept / "progress.json")
    model.load_state_dict(load_file(kept / "model.safetensors"))
    text = f"the loss was not finite at step {error.step}: what was learned by step {told['step']} is kept"
    return Trained(model, error.curve, told["seconds"], told["losses"]), text


def _tested(start: Start, signals: list[Signal], steps: int) -> list[float]:
    """Return the metric of each signal after so many steps, made as the start recommends."""
    return [float(start.fit([start.kind.standard(s)], steps).final[0]) for s in signals]
