"""From a generate recipe to a published start: prompt -> clauses -> denoised networks -> the best one -> publish."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from weightgen.checkpoint import check_target, publish
from weightgen.diffusion.card import generated_card
from weightgen.diffusion.choosing import errors_on
from weightgen.diffusion.loading import load_generator
from weightgen.diffusion.phrases import Neighbour, PhraseBook
from weightgen.diffusion.pipeline import WeightGenerationPipeline
from weightgen.diffusion.prompt import Phrase
from weightgen.diffusion.text import TextEncoder, load_encoder
from weightgen.errors import InputError, UsageError
from weightgen.preparation import versions
from weightgen.recipe import GenerateRecipe

NEIGHBOURS = 3


@dataclass(frozen=True)
class Understood:
    """One clause of the prompt, and what the generator knows of it."""

    phrase: Phrase
    neighbours: tuple[Neighbour, ...]
    """Trained phrases, the nearest first."""
    far: bool
    """Whether even the nearest is unlike it."""
    snapped: bool
    """Whether the nearest stands for it in what the generator is asked first; see `PhraseBook.snapped`."""

    def to_json(self) -> dict[str, Any]:
        """Return plain values for the manifest and --json."""
        nearest = {n.text: round(n.cosine, 3) for n in self.neighbours}
        return {
            "phrase": self.phrase.text,
            "strength": self.phrase.strength,
            "nearest": nearest,
            "far": self.far,
            "snapped": self.snapped,
        }


@dataclass(frozen=True)
class Generated:
    """What was published."""

    directory: Path
    understood: tuple[Understood, ...]
    sample: int
    """Number of the sample that was taken."""
    errors: tuple[float, ...]
    """Mean absolute error of each sample on the user's pairs; empty without pairs."""
    steps: int
    """Denoising steps that the generator names."""
    seconds: float
    """Time of reading the prompt and denoising; of loading, none."""


def generate_start(recipe: GenerateRecipe, out: Path, *, force: bool = False) -> Generated:
    """Generate a network from a prompt and publish it as a start.

    Raises UsageError for a prompt that is empty, too long or of impossible strengths, and for options that do not go
    together; InputError for a generator that is broken, and for pairs that do not fit each other.
    """
    check_target(out.resolve(), force)
    if not recipe.generator:
        raise UsageError("generate with what? Add --generator DIR")
    if recipe.samples > 1 and recipe.pairs is None:
        raise UsageError(f"--samples {recipe.samples}: add --pairs DIR with images to choose by, or take one sample")
    torch.set_num_threads(recipe.threads or os.cpu_count() or 1)
    pipeline = load_generator(Path(recipe.generator).expanduser())
    phrases = pipeline.read(recipe.prompt)
    if not phrases:
        raise UsageError("generate what? The prompt asks for nothing; write for instance 'sepia tone, strength 0.7'")
    if recipe.encoder is not None:
        pipeline.use_encoder(load_encoder(recipe.encoder))
    encoder = pipeline.encoder  # loaded before the clock starts
    started = time.monotonic()
    snap = pipeline.config.snap if recipe.snap is None else recipe.snap
    understood = understand(pipeline.phrases, encoder, phrases, snap)
    made = pipeline(
        recipe.prompt,
        steps=recipe.steps,
        guidance=recipe.guidance,
        samples=recipe.samples,
        generator=torch.Generator().manual_seed(recipe.seed),
        snap=recipe.snap,
        reread=recipe.samples > 1,
    )
    seconds = time.monotonic() - started
    _check_finite(made.state_dicts)
    architecture = dict(pipeline.base.config.architecture)
    errors = errors_on(Path(recipe.pairs), architecture, made.state_dicts) if recipe.pairs is not None else []
    sample = min(range(len(errors)), key=errors.__getitem__, default=0)
    generated = Generated(out, understood, sample, tuple(errors), pipeline.config.steps, seconds)
    _publish(recipe, generated, pipeline, made.state_dicts[sample], force)
    return generated


def understand(book: PhraseBook, encoder: TextEncoder, phrases: Sequence[Phrase], snap: bool) -> tuple[Understood, ...]:
    """Return what a generator that was trained on a book of phrases knows of others, and which of them it replaces."""
    found = []
    for phrase, near in zip(phrases, book.nearest(encoder.embed([p.text for p in phrases]), NEIGHBOURS), strict=True):
        far = not near or near[0].cosine < book.far
        found.append(Understood(phrase, tuple(near), far, snap and not far and near[0].text != phrase.text))
    return tuple(found)


def _check_finite(networks: Sequence[Mapping[str, Tensor]]) -> None:
    for tensors in networks:
        if not all(bool(t.isfinite().all()) for t in tensors.values()):
            raise InputError("the generated weights are not finite. Try a lower --guidance or other --steps.")


def _publish(
    recipe: GenerateRecipe,
    generated: Generated,
    pipeline: WeightGenerationPipeline,
    tensors: Mapping[str, Tensor],
    force: bool,
) -> None:
    from safetensors.torch import save

    own = recipe.model_copy(update={"out": None})
    architecture = dict(pipeline.base.config.architecture)
    understood = [u.to_json() for u in generated.understood]
    with publish(generated.directory, force) as staged:
        (staged.path / "config.json").write_text(json.dumps(architecture, indent=1) + "\n", encoding="utf-8")
        plain = {name: tensor.cpu() for name, tensor in tensors.items()}
        (staged.path / "model.safetensors").write_bytes(save(plain, metadata={"format": "pt"}))
        (staged.path / "recipe.yaml").write_text(own.to_yaml(), encoding="utf-8")
        card = generated_card(own, architecture, understood, generated.directory.name)
        (staged.path / "README.md").write_text(card, encoding="utf-8")
        staged.manifest.update(
            stage="generate",
            recipe_hash=own.hash,
            prompt=recipe.prompt,
            concept=understood,
            seed=recipe.seed,
            sample=generated.sample,
            errors=[round(e, 6) for e in generated.errors],
            generator={"name": Path(recipe.generator or "").name, "sha256": pipeline.sha256},
            base=pipeline.base.sha256,
            threads=torch.get_num_threads(),
            versions=versions("diffusers"),
        )
