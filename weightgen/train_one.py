"""From a train recipe to a checkpoint: start and task -> training -> publish."""

from __future__ import annotations

import os
import platform
import shutil
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from weightgen import __version__
from weightgen.card import trained_card
from weightgen.checkpoint import check_target, hold, publish
from weightgen.flops import count_step
from weightgen.interruption import Interrupted
from weightgen.models.loading import save_model
from weightgen.models.names import resolve
from weightgen.recipe import TrainingRecipe, TrainRecipe
from weightgen.settings import Settings
from weightgen.sidecars import copy_sidecars, download_tokenizer, has_tokenizer
from weightgen.starts import Start, architecture_of, parse_start
from weightgen.tasks import make_task
from weightgen.training import Progress, end, is_main_process, score, train

MARKS = 10


@dataclass(frozen=True)
class Made:
    """What a training published."""

    directory: Path
    metric: str
    value: float
    """On the test items, which nothing else has looked at."""
    steps: int
    seconds: float


def train_one(recipe: TrainRecipe, out: Path, *, force: bool = False, progress: Progress | None = None) -> Made:
    """Train a model and publish it. States lie in `OUT.training` until then, and are found there on a second call."""
    check_target(out.resolve(), force)
    set_threads(recipe)
    start = parse_start(recipe.start)
    architecture = architecture_of([start], recipe.model, recipe.model_args)
    directory = data_directory(recipe, start)
    task = make_task(recipe, architecture, directory)
    model = start.model(architecture, recipe.seed)
    task.check(model)
    flops = count_step(model, task, recipe.batch_size)
    marks = tuple(sorted({round(recipe.steps * i / MARKS) for i in range(MARKS + 1)}))
    settings = settings_of(recipe, recipe.lr, marks)
    work = out.with_name(out.name + ".training")
    with hold(work):
        try:
            trained = train(model, task, settings, work / "states", progress=progress, tracker=recipe.tracker)
        except Interrupted as stop:
            raise Interrupted(f"{stop}, and saved in {work}.\nThe same command goes on from there.") from stop
        test = score(trained.model, task, "test")
        value = float(task.metric.of(test))
        if is_main_process():
            own = recipe.model_copy(update={"out": None})
            evidence = {"metric": task.metric.name, "split": "test", "items": len(test), "value": value}
            with publish(out, force) as staged:
                task.configure(architecture.model)
                save_model(trained.model, architecture, staged.path)
                width = getattr(getattr(architecture.model, "config", None), "hidden_size", None)
                copy_sidecars(directory, None, staged.path, width)
                (staged.path / "recipe.yaml").write_text(own.to_yaml(), encoding="utf-8")
                card = trained_card(own, architecture, evidence, out.name)
                (staged.path / "README.md").write_text(card, encoding="utf-8")
                staged.manifest.update(
                    stage="train",
                    recipe_hash=own.hash,
                    seed=recipe.seed,
                    threads=torch.get_num_threads(),
                    evidence=evidence,
                    cost={"training_flops": flops * recipe.steps},
                    versions=versions(architecture.library),
                )
            shutil.rmtree(work, ignore_errors=True)
    end()
    return Made(out, task.metric.name, value, recipe.steps, trained.seconds)


def settings_of(recipe: TrainingRecipe, rate: float, marks: tuple[int, ...], offset: int = 0) -> Settings:
    """Return how to train by a recipe; `offset` is added to its seeds, the run's number in a race."""
    return Settings(
        steps=recipe.steps,
        batch_size=recipe.batch_size,
        learning_rate=rate,
        weight_decay=recipe.weight_decay,
        schedule=recipe.schedule,
        warmup=recipe.warmup,
        clip=recipe.clip,
        accumulate=recipe.accumulate,
        precision=recipe.precision,
        ema=recipe.ema,
        data_seed=recipe.data_seed + offset,
        augment_seed=recipe.augment_seed + offset,
        marks=marks,
        save_every=recipe.save_every,
    )


def set_threads(recipe: TrainingRecipe) -> None:
    """Give torch the recipe's number of threads: sums over other numbers of parts round differently."""
    torch.set_num_threads(recipe.threads or os.cpu_count() or 1)


def data_directory(recipe: TrainingRecipe, *starts: Start) -> Path | None:
    """Return where the tokenizer or preprocessor of a model lies: beside a start, or the named model.

    For text that is the first directory with a tokenizer, or a repository whose tokenizer is fetched.
    """
    names = [s.directory for s in starts if s.directory] + ([recipe.model] if recipe.model else [])
    references = [resolve(name) for name in names]
    found = [r.directory for r in references if r.directory is not None]
    repository = next((r for r in references if r.library == "transformers" and r.name), None)
    with_tokenizer = next((d for d in found if has_tokenizer(d)), None)
    if recipe.task != "classify" and with_tokenizer is not None:
        return with_tokenizer
    if recipe.task != "classify" and repository is not None:
        return download_tokenizer(repository)
    return next(iter(found), None)


def versions(library: str) -> dict[str, str]:
    """Return the versions that a result depends on."""
    return {"weightgen": __version__, **{n: version(n) for n in ("torch", library, "accelerate", "datasets")}}


def environment() -> dict[str, Any]:
    """Return what a reader needs to know of the machine."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.machine() + " CPU"
    return {"device": device, "cores": os.cpu_count(), "python": platform.python_version(), "system": platform.system()}
