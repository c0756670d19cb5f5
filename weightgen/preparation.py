"""What training one model and racing several prepare alike: settings, threads, tokenizers, and what to record."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from weightgen import __version__
from weightgen.models.names import resolve
from weightgen.recipe import MetalearnRecipe, TrainGeneratorRecipe, TrainingRecipe
from weightgen.settings import Settings
from weightgen.sidecars import download_tokenizer, has_tokenizer
from weightgen.starts import Start

Loop = TrainingRecipe | MetalearnRecipe | TrainGeneratorRecipe


def settings_of(recipe: Loop, rate: float, marks: tuple[int, ...], offset: int = 0) -> Settings:
    """Return how to train by a recipe; `offset` is added to its seeds, the run's number in a race."""
    return Settings(
        steps=recipe.steps,
        batch_size=recipe.batch_size,
        learning_rate=rate,
        weight_decay=0.0 if isinstance(recipe, MetalearnRecipe) else recipe.weight_decay,
        optimizer=recipe.optimizer if isinstance(recipe, TrainingRecipe) else "adamw",
        gradient_noise=recipe.gradient_noise if isinstance(recipe, TrainingRecipe) else 0.0,
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


def set_threads(recipe: Loop) -> None:
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
    others = {n: version(n) for n in ("torch", library, "accelerate", "datasets") if n != "weightgen"}
    return {"weightgen": __version__, **others}


def environment() -> dict[str, Any]:
    """Return what a reader needs to know of the machine."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.machine() + " CPU"
    return {"device": device, "cores": os.cpu_count(), "python": platform.python_version(), "system": platform.system()}
