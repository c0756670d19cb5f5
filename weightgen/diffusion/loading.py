"""Opening a generator's directory, which somebody else may have written."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers.utils import logging
from safetensors import SafetensorError

from weightgen.diffusion.pipeline import WeightGenerationPipeline
from weightgen.errors import InputError, UsageError, printable
from weightgen.models.tensorfile import read_header
from weightgen.models.translator import CONFIG, config_of
from weightgen.publishing.manifest import NAME, find_problems
from weightgen.reading.json_files import read_json

INDEX, WEIGHTS = "model_index.json", "diffusion_pytorch_model.safetensors"
OURS = ("denoiser", "base", "phrases")
"""Components with weights, which are always there."""


def load_generator(directory: Path) -> WeightGenerationPipeline:
    """Read a generator, in evaluation mode on the CPU.

    Raises UsageError where there is none, InputError where it was changed since it was published, is incomplete, has
    values that are not finite, or its parts do not belong together.
    """
    shown = printable(str(directory))
    if not (directory / INDEX).is_file():
        raise UsageError(f"{shown}: no generator here ({INDEX} is missing). Make one: weightgen train-generator")
    kind = read_json(directory / INDEX).get("_class_name")
    if kind != "WeightGenerationPipeline":
        raise InputError(f"{shown}: expected a WeightGenerationPipeline, found {printable(str(kind), 40)}")
    if (directory / NAME).is_file():
        problems = find_problems(directory)
        if problems:
            raise InputError(f"{shown}: not as it was published: {problems[0]}\nSee: weightgen verify {shown}")
    stored = {part: read_header(directory / part / WEIGHTS)[0] for part in OURS}
    logging.disable_progress_bar()
    try:
        pipeline = WeightGenerationPipeline.from_pretrained(directory, local_files_only=True)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, SafetensorError) as error:
        reason = printable((str(error).splitlines() or [type(error).__name__])[0], 200)
        raise InputError(f"{shown}: cannot be read: {reason}") from error
    told = dict(pipeline.base.config.architecture)
    if told.get("format") == "weightgen-translator":
        config_of(told, directory / "base" / CONFIG)
    for part, entries in stored.items():
        _check_tensors(getattr(pipeline, part).state_dict(), set(entries), printable(str(directory / part / WEIGHTS)))
    return pipeline


def _check_tensors(found: dict[str, torch.Tensor], stored: set[str], shown: str) -> None:
    name = next((n for n in sorted({*found} ^ stored)), None)
    if name is not None:
        raise InputError(f"{shown}: tensor '{printable(name)}' is {'missing' if name in found else 'unknown'}")
    broken = next((n for n, t in sorted(found.items()) if not bool(torch.isfinite(t).all())), None)
    if broken is not None:
        raise InputError(f"{shown}: '{printable(broken)}' has values that are not finite")
