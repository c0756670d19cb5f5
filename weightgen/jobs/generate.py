"""Generate: prompt -> clauses -> denoised networks -> the best one -> publish."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from weightgen.console import SILENT, Reporter, shell_word
from weightgen.diffusion.card import generated_card
from weightgen.diffusion.choosing import errors_on
from weightgen.diffusion.form import FORMAT, Form, read_form
from weightgen.diffusion.loading import load_generator
from weightgen.diffusion.pipeline import WeightGenerationPipeline
from weightgen.diffusion.text import load_encoder
from weightgen.diffusion.understanding import Understood, understand
from weightgen.errors import InputError, UsageError, printable
from weightgen.jobs.made import Made
from weightgen.models.names import local_path
from weightgen.publishing.publication import check_out, publication
from weightgen.recipe.generating import GenerateRecipe
from weightgen.training.threads import use_threads


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


def generate(recipe: GenerateRecipe, out: Path, *, force: bool = False, reporter: Reporter = SILENT) -> Made[Generated]:
    """Generate a network from a prompt and publish it as a start.

    Raises UsageError for a prompt that is empty, too long or of impossible strengths, and for options that do not go
    together; InputError for a generator that is broken, and for pairs that do not fit each other.
    """
    check_out(out, force, [local_path(recipe.generator), local_path(recipe.encoder)], [local_path(recipe.pairs)])
    if not recipe.generator:
        raise UsageError("generate with what? Add --generator DIR")
    if recipe.samples > 1 and recipe.pairs is None:
        raise UsageError(f"--samples {recipe.samples}: add --pairs DIR with images to choose by, or take one sample")
    use_threads(recipe.threads)
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
    return _made(recipe, generated, architecture, reporter)


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
    architecture = dict(pipeline.base.config.architecture)
    understood = [u.to_json() for u in generated.understood]
    with publication(generated.directory, recipe, "diffusers", force=force) as published:
        _write_network(published.path, architecture, {name: tensor.cpu() for name, tensor in tensors.items()})
        published.card = generated_card(recipe, architecture, understood, generated.directory.name)
        published.fields = {
            "prompt": recipe.prompt,
            "concept": understood,
            "seed": recipe.seed,
            "sample": generated.sample,
            "errors": [round(e, 6) for e in generated.errors],
            "generator": {"name": Path(recipe.generator or "").name, "sha256": pipeline.sha256},
            "base": pipeline.base.sha256,
            "threads": torch.get_num_threads(),
        }


def _write_network(directory: Path, architecture: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Write weights and config as the library reads them that the collected networks were for."""
    form = _form(architecture)
    if form is None:
        form = Form(config_name="config.json", config=dict(architecture))
    if form.config_name is not None:
        text = json.dumps(form.config, indent=1) + "\n"
        (directory / form.config_name).write_text(text, encoding="utf-8")
    scales = {name: torch.tensor(value) for name, value in form.constants.items()}
    (directory / form.file).write_bytes(save({**tensors, **scales}, metadata={"format": "pt", **form.metadata}))


def _form(architecture: Mapping[str, Any]) -> Form | None:
    """Return the form of collected checkpoints; None for networks that weightgen runs itself."""
    known = architecture.get("format") == FORMAT
    return read_form(architecture, "the generator's base") if known else None


def _made(
    recipe: GenerateRecipe, made: Generated, architecture: Mapping[str, Any], reporter: Reporter
) -> Made[Generated]:
    """Say how the prompt was understood, and what to type next."""
    for clause in made.understood:
        if clause.far:
            reporter.warn(_unlike(clause))
    if recipe.steps not in (None, made.steps):
        reporter.warn(
            f"--steps {recipe.steps}: the generator was trained to be asked in {made.steps}, others can ruin all"
        )
    out, said = made.directory, "; ".join(_told(clause, made.sample) for clause in made.understood)
    lines = [f"wrote {shell_word(out)}/ in {made.seconds:.2f} s: {said}"]
    if made.errors:
        best, worst = made.errors[made.sample], max(made.errors)
        chosen = f"sample {made.sample} of {len(made.errors)}"
        lines.append(f"{chosen}: mean absolute error {best:.4f} on the pairs, the worst sample's {worst:.4f}")
    form = _form(architecture)
    see = f"see:    weightgen apply {shell_word(out)} photo.png --out edited.png"
    lines += [
        see if form is None else f"load:   {form.load_line(str(out))}",
        f"check:  weightgen verify {shell_word(out)}",
    ]
    data = {
        "directory": str(out),
        "concept": [c.to_json() for c in made.understood],
        "seed": recipe.seed,
        "sample": made.sample,
        "errors": list(made.errors),
        "seconds": round(made.seconds, 3),
    }
    return Made(out, data, "\n".join(lines), made)


def _told(clause: Understood, sample: int) -> str:
    """Samples after the first have other readings of the prompt."""
    read = f" (read as '{printable(clause.neighbours[0].text)}')" if clause.snapped and not sample else ""
    return f"{printable(clause.phrase.text)}{read}, strength {clause.phrase.strength:g}"


def _unlike(clause: Understood) -> str:
    near = ", ".join(f"'{printable(n.text)}' ({n.cosine:.2f})" for n in clause.neighbours)
    return (
        f"'{printable(clause.phrase.text)}' is unlike anything the generator was trained on. Nearest: {near or 'none'}"
    )
