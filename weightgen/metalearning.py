"""From a metalearn recipe to a published start: signals -> field -> learning -> test-time search -> publish."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from weightgen.card import start_card
from weightgen.checkpoint import check_target, hold, publish
from weightgen.errors import CheckError, InputError, UsageError, printable
from weightgen.inr.config import field_config
from weightgen.inr.controls import redraw
from weightgen.inr.field import Field
from weightgen.inr.fitting import Adaptation
from weightgen.inr.learner import Gradient, Inner, MetaLearner
from weightgen.inr.learning import MetaTask, field_of
from weightgen.inr.search import recommend
from weightgen.inr.signals import KINDS, make_kind
from weightgen.inr.signals.division import divided, names_digest
from weightgen.inr.signals.files import splits
from weightgen.inr.signals.kind import Kind, Signal
from weightgen.inr.start import Start, save_start
from weightgen.inr.strainer import Strainer
from weightgen.interruption import Interrupted
from weightgen.models.jsonfile import read_json
from weightgen.preparation import set_threads, settings_of, versions
from weightgen.recipe import MetalearnRecipe
from weightgen.retention import newest_complete
from weightgen.tasks.task import Split
from weightgen.trained import Diverged, Trained
from weightgen.training import Progress, end, is_main_process, train

MARKS = 10
LOWER = "Try a lower --inner-rate or --lr."
INTERPOLATED = ("reptile-interpolation", "tinyreptile")
GRADIENTS: dict[str, Gradient] = {"maml": "maml", "fomaml": "fomaml"}
"""Algorithms whose outer gradient is one; the others, STRAINER apart, follow Reptile's displacement."""


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


def metalearn_one(
    recipe: MetalearnRecipe,
    out: Path,
    *,
    force: bool = False,
    progress: Progress | None = None,
    searching: Progress | None = None,
) -> Learned:
    """Learn a start and publish it. States lie in `OUT.training` until then, and are found there on a second call.

    Raises CheckError where learning diverged; what had been learned by the last good state is published all the same.
    """
    check_target(out.resolve(), force)
    set_threads(recipe)
    kind = kind_of(recipe)
    signals = load_signals(recipe, kind)
    model, task = make_learner(recipe, kind, signals)
    task.check(model)
    marks = tuple(sorted({round(recipe.steps * i / MARKS) for i in range(MARKS + 1)}))
    settings = settings_of(recipe, recipe.lr, marks)
    work = out.with_name(out.name + ".training")
    with hold(work):
        diverged: str | None = None
        try:
            trained = train(
                model, task, settings, work / "states", progress=progress, tracker=recipe.tracker, keep_end=True
            )
        except Interrupted as stop:
            raise Interrupted(f"{stop}, and saved in {work}.\nThe same command goes on from there.") from stop
        except Diverged as error:
            trained, diverged = _last_good(error, model, work / "states")
        start, value = started(trained.model.cpu(), kind), math.nan  # which the main process finds
        if is_main_process():
            if recipe.trials:
                try:
                    found = recommend(start, signals["tune"], recipe.budget, recipe.trials, recipe.seed, searching)
                except KeyboardInterrupt as stop:
                    raise Interrupted(
                        f"stopped while rates were chosen; what was learned is saved in {printable(str(work))}.\n"
                        "The same command goes on from there."
                    ) from stop
                start = replace(start, recommended=found)
            scores = _tested(start, signals["test"], recipe.inner_steps)
            own = recipe.model_copy(update={"out": None})
            curve = dict(zip(marks, kind.metric.of(trained.curve).tolist(), strict=diverged is None))
            value = float(np.mean(scores))
            if not math.isfinite(value):
                raise CheckError(f"{diverged or 'fits from the start are not finite'}.\n{LOWER}")
            evidence = {"metric": kind.metric.name, "split": "test", "items": len(scores), "value": value}
            with publish(out, force) as staged:
                save_start(start, staged.path)
                (staged.path / "recipe.yaml").write_text(own.to_yaml(), encoding="utf-8")
                card = start_card(own, start, evidence, out.name)
                (staged.path / "README.md").write_text(card, encoding="utf-8")
                staged.manifest.update(
                    stage="metalearn",
                    recipe_hash=own.hash,
                    seed=recipe.seed,
                    threads=torch.get_num_threads(),
                    evidence=evidence,
                    curve={str(step): round(v, 4) for step, v in curve.items()},
                    signals={split: len(found) for split, found in signals.items()},
                    signal_names=names_digest(signals["train"], signals["tune"], signals["test"]),
                    seconds=round(trained.seconds, 1),
                    cost={"meta_learning_flops": task.flops(model) * recipe.batch_size * recipe.steps},
                    versions=versions("optuna"),
                )
            shutil.rmtree(work, ignore_errors=True)
    end()
    if diverged is not None:
        raise CheckError(f"{diverged}, published in {printable(str(out))}.\n{LOWER}")
    return Learned(out, start, kind.metric.name, value, len(signals["test"]), trained.seconds)


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


def kind_of(recipe: MetalearnRecipe) -> Kind:
    """Return the kind of signal, with the conventions that the recipe or the data themselves say."""
    if not recipe.data:
        raise UsageError("learn from what? Name a folder of signals")
    folder = splits(recipe.data).get("train", recipe.data)
    return make_kind(recipe.kind, KINDS[recipe.kind].conventions(folder, recipe.signal_args))


def load_signals(recipe: MetalearnRecipe, kind: Kind) -> dict[Split, list[Signal]]:
    """Return the signals to learn from (`train`), to watch and choose by (`tune`, `validation`), and for the end.

    Folders named train and validation or test are taken as such; else a tenth is held out for the end.
    """
    order, test = divided(kind, recipe.data)
    tune = min(recipe.tune, max(1, len(order) // 5))
    if len(order) <= tune:
        raise InputError(
            f"{printable(recipe.data)}: expected at least 3 signals to learn from, found {len(order)} beside the "
            f"{len(test)} held out"
        )
    return {"train": order[tune:], "tune": order[:tune], "validation": order[:tune], "test": test}


def make_learner(
    recipe: MetalearnRecipe, kind: Kind, signals: Mapping[Split, list[Signal]]
) -> tuple[torch.nn.Module, MetaTask]:
    """Return the module that the loop trains, and the task that it trains on."""
    sizes = {"inputs": kind.inputs, "outputs": kind.outputs}
    suited = kind.suited.arguments if recipe.field is None else {}
    field = Field(field_config(recipe.field or "siren", {**sizes, **suited, **recipe.field_args}), recipe.seed)
    strainer = recipe.algorithm == "strainer"  # fits by Adam, which has rates of its own
    rate = recipe.inner_rate or (Adaptation().rate if strainer else kind.suited.rate)
    first = recipe.first_rate or (kind.suited.first_rate if recipe.inner_rate is None else None)
    if recipe.init != "own":
        redraw(recipe.init, field, kind, signals["train"], recipe.seed)
    steps, points, interpolate = recipe.inner_steps, recipe.points, recipe.algorithm in INTERPOLATED
    model: torch.nn.Module
    if strainer:
        model, steps = Strainer(field, kind, len(signals["train"]), recipe.inner_steps, rate), 0
    else:
        algorithm = GRADIENTS.get(recipe.algorithm, "reptile")
        learned = recipe.inner_rates == "learned" and algorithm != "reptile"
        inner = Inner(recipe.inner_steps, rate, learned, first)
        model = MetaLearner(field, kind, inner, algorithm, recipe.objective == "psnr")
    if recipe.algorithm == "tinyreptile":
        points = 1
    return model, MetaTask(kind, signals, steps, points, relative=recipe.relative, interpolate=interpolate)


def started(model: torch.nn.Module, kind: Kind) -> Start:
    """Return what a learner learned."""
    if isinstance(model, MetaLearner):
        return Start(model.field, kind, model.inner.steps, model.log_rates.detach().exp())
    return Start(field_of(model), kind)
