"""Train: start and task -> training -> publish."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch

from weightgen.console import SILENT, Reporter, shell_word
from weightgen.errors import CheckError
from weightgen.jobs.made import Made
from weightgen.models.loading import save_model
from weightgen.models.masks import held, save_mask
from weightgen.models.names import local_directory, local_path
from weightgen.publishing.publication import check_out, publication
from weightgen.publishing.sidecars import copy_sidecars
from weightgen.recipe import TrainRecipe
from weightgen.starts.agreement import architecture_of
from weightgen.starts.start import parse_start
from weightgen.starts.tokenizer import data_directory
from weightgen.tasks import make_task
from weightgen.tasks.card import trained_card
from weightgen.training.accelerator import is_main_process
from weightgen.training.flops import count_step
from weightgen.training.loop import train as run
from weightgen.training.scoring import score
from weightgen.training.settings import marks_of, settings_of
from weightgen.training.threads import use_threads
from weightgen.training.working import working_beside


@dataclass(frozen=True)
class TrainedModel:
    """What a training published."""

    directory: Path
    metric: str
    value: float
    """On the test items, which nothing else has looked at."""
    steps: int
    seconds: float


def train(recipe: TrainRecipe, out: Path, *, force: bool = False, reporter: Reporter = SILENT) -> Made[TrainedModel]:
    """Train a model and publish it. States lie in `OUT.training` until then, and are found there on a second call."""
    start = parse_start(recipe.start)
    made_from = [local_directory(text) for text in (start.directory, recipe.model, recipe.teacher)]
    check_out(out, force, made_from, [local_path(recipe.data)])
    use_threads(recipe.threads)
    architecture = architecture_of([start], recipe.model, recipe.model_args)
    directory = data_directory(recipe, start)
    task = make_task(recipe, architecture, directory)
    model = start.model(architecture, recipe.seed)
    mask = start.mask or held(model)  # beside the start's weights, or made with them
    task.check(model)
    flops = count_step(model, task, recipe.batch_size)
    settings = settings_of(recipe, recipe.lr, marks_of(recipe.steps))
    with reporter.progress("training") as progress, working_beside(out) as work:
        trained = run(model, task, settings, work / "states", progress=progress, tracker=recipe.tracker)
        test = score(trained.model, task, "test")
        value = float(task.metric.of(test))
        if not math.isfinite(value):
            raise CheckError(
                f"{task.metric.name} on test data is {value}: nothing was learned that could be published.\n"
                "Lower --lr, or look at the start's weights: weightgen diagnose. Choose another --out for it."
            )
        if is_main_process():
            evidence = {"metric": task.metric.name, "split": "test", "items": len(test), "value": value}
            with publication(out, recipe, architecture.library, force=force) as published:
                task.configure(architecture.model)
                save_model(trained.model, architecture, published.path)
                copy_sidecars(directory, None, published.path, architecture.width)
                if mask is not None:
                    save_mask(mask, published.path)
                published.card = trained_card(recipe, architecture, evidence, out.name)
                published.fields = {
                    "seed": recipe.seed,
                    "threads": torch.get_num_threads(),
                    "evidence": evidence,
                    "cost": {"training_flops": flops * recipe.steps},
                }
    made = TrainedModel(out, task.metric.name, value, recipe.steps, trained.seconds)
    data = {"directory": str(out), made.metric: value, "steps": made.steps, "seconds": round(made.seconds, 1)}
    text = (
        f"wrote {shell_word(out)}/: {made.metric} {value:.4f} on test data after {made.steps} steps "
        f"({made.seconds:.0f} s)\ncheck:  weightgen verify {shell_word(out)}\n"
        f"cut:    weightgen subclone --src {shell_word(out)} --dst same --dst-args ..."
    )
    return Made(out, data, text, made)
