"""The trainings of `weightgen collect`: the base, and stacks of networks that begin at it; each is published once."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import torch
from safetensors.torch import load_file, save
from torch import Tensor

from weightgen.diffusion.collecting import UNCLIPPED, CollectTask
from weightgen.diffusion.domain import domain
from weightgen.diffusion.examples import Edited, Examples, Mixed
from weightgen.diffusion.folders import load_concepts
from weightgen.diffusion.photos import bundled, photos_in
from weightgen.diffusion.quality import quality
from weightgen.diffusion.stack import Stack
from weightgen.errors import CheckError, InputError
from weightgen.models.translator import Translator, TranslatorConfig
from weightgen.publishing.checkpoint import publish
from weightgen.publishing.manifest import check
from weightgen.publishing.work_directory import remove_work, work_directory
from weightgen.recipe import CollectRecipe
from weightgen.training.accelerator import is_main_process, wait_for_everyone
from weightgen.training.loop import train
from weightgen.training.settings import Settings, settings_of
from weightgen.training.threads import use_threads

PATIENCE = 30.0  # seconds: the workers of a killed run stop soon, and save before
TENSORS, FOUND = "model.safetensors", "found.json"
BASE = "base"


@dataclass(frozen=True)
class Job:
    """A stack of networks."""

    number: int
    concepts: tuple[int, ...]
    """Positions among the recipe's concepts."""
    steps: int

    def directory(self, work: Path) -> Path:
        """Return where it is published."""
        return work / "stacks" / f"{self.number:04d}"


def config_of(recipe: CollectRecipe) -> TranslatorConfig:
    """Return the architecture of the networks."""
    return TranslatorConfig(width=recipe.width, layers=recipe.layers, position=recipe.position)


def examples_of(recipe: CollectRecipe) -> Examples:
    """Return all concepts of a recipe with what shows them, read once; raises WeightgenError where they are wrong."""
    return _examples_of(recipe.model_dump_json())


@lru_cache(maxsize=1)
def _examples_of(text: str) -> Examples:
    recipe = CollectRecipe.model_validate_json(text)
    found: Examples
    if recipe.concepts is not None:
        found = load_concepts(Path(recipe.concepts).expanduser())
    else:
        photos = bundled() if recipe.photos is None else photos_in(Path(recipe.photos).expanduser())
        found = Edited(photos, domain(recipe.train, recipe.held_out, recipe.seed))
    found.check(recipe.crop)
    return found


def jobs_of(recipe: CollectRecipe, examples: Examples) -> list[Job]:
    """Return the stacks of all concepts."""
    every = range(len(examples.concepts))
    firsts = every[:: recipe.stack]
    return [Job(i, tuple(every[first : first + recipe.stack]), recipe.steps) for i, first in enumerate(firsts)]


def train_base(recipe: CollectRecipe, work: Path, progress: Callable[[int], None]) -> Path:
    """Teach one network all training concepts at once, and publish it; return where.

    Raises CheckError where its loss is not finite.
    """
    target = work / BASE
    if finished(target):
        return target
    start = dict(Translator(config_of(recipe), recipe.seed).named_parameters())
    stack, seconds = Stack(config_of(recipe), start, 1), 0.0
    if recipe.base_steps:
        examples = examples_of(recipe)
        trained = [i for i, concept in enumerate(examples.concepts) if concept.split == "train"]
        settings = _settings(recipe, recipe.base_steps, recipe.base_batch_size)
        stack, seconds = _train(stack, Mixed(examples.only(trained)), recipe, settings, target, progress)
    if bool(stack.lost.any()):
        raise CheckError("the base's loss was not finite. Try a lower --lr.")
    _publish(target, {name: tensor[0] for name, tensor in stack.trained().items()}, {"seconds": seconds})
    return target


def train_stack(recipe: CollectRecipe, job: Job, work: Path, step_done: Callable[[int], None]) -> Path:
    """Teach each concept of a job to a network of its own, judge the networks, and publish them; return where."""
    target = job.directory(work)
    if finished(target):
        return target
    use_threads(recipe.threads or 1)
    examples, base = examples_of(recipe).only(job.concepts), load_file(work / BASE / TENSORS)
    stack = Stack(config_of(recipe), base, len(job.concepts), recipe.rank, recipe.seed, recipe.adversarial)
    settings = _settings(recipe, recipe.steps, recipe.batch_size)
    stack, seconds = _train(stack, examples, recipe, settings, target, step_done)
    with torch.no_grad():
        judged = quality(stack.config, stack.tensors(), examples)
    quality_of = {name: values.tolist() for name, values in judged.items()}
    _publish(target, stack.trained(), {"seconds": seconds, "lost": stack.lost.tolist(), "quality": quality_of})
    return target


def finished(directory: Path) -> bool:
    """Whether a training was published, all of it."""
    try:
        check(directory)
    except (CheckError, InputError):
        return False
    return True


def _train(
    stack: Stack,
    examples: Examples,
    recipe: CollectRecipe,
    settings: Settings,
    target: Path,
    step_done: Callable[[int], None],
) -> tuple[Stack, float]:
    """Train, going on from what an earlier call left beside `target`; return the networks, and seconds in steps."""
    task = CollectTask(examples, recipe.crop, recipe.clip)
    with work_directory(_working(target), patience=PATIENCE):
        states = _working(target) / "states"
        progress = lambda done, total, words="": step_done(done)  # noqa: E731
        trained = train(stack, task, settings, states, progress=progress, tracker=recipe.tracker)
    assert isinstance(trained.model, Stack)
    return trained.model, trained.seconds


def _settings(recipe: CollectRecipe, steps: int, batch_size: int) -> Settings:
    """Each network's gradient is clipped by itself, all of them together are not."""
    return replace(settings_of(recipe, recipe.lr), steps=steps, batch_size=batch_size, clip=UNCLIPPED)


def _publish(target: Path, tensors: Mapping[str, Tensor], found: Mapping[str, object]) -> None:
    if is_main_process():
        with publish(target, force=True) as staged:
            plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
            (staged.path / TENSORS).write_bytes(save(plain))
            (staged.path / FOUND).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
            staged.manifest.update(stage="collect")
        remove_work(_working(target))
    wait_for_everyone()  # the others read what the main process published


def _working(target: Path) -> Path:
    return target.with_name(target.name + ".training")
