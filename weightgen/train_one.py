"""From a train recipe to a checkpoint: start and task -> training -> publish."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import torch

from weightgen.card import trained_card
from weightgen.checkpoint import check_target, hold, publish
from weightgen.flops import count_step
from weightgen.interruption import Interrupted
from weightgen.models.loading import save_model
from weightgen.preparation import data_directory, set_threads, settings_of, versions
from weightgen.pruning.masks import held, save_mask
from weightgen.recipe import TrainRecipe
from weightgen.sidecars import copy_sidecars
from weightgen.starts import architecture_of, parse_start
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
    mask = start.mask or held(model)  # beside the start's weights, or made with them
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
                if mask is not None:
                    save_mask(mask, staged.path)
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
