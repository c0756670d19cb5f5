"""Existing checkpoints of one architecture with captions, LoRA adapters among them, as collected networks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from weightgen.diffusion.asking import check_askable
from weightgen.diffusion.concepts import Concept
from weightgen.diffusion.folders import PROMPT, read_captions
from weightgen.errors import InputError, UsageError, printable
from weightgen.models.tensorfile import read_header
from weightgen.reading.json_files import read_json

CAPTIONS = "captions.json"
INSIDE = (
    "adapter_model.safetensors",
    "pytorch_lora_weights.safetensors",
    "model.safetensors",
    "diffusion_pytorch_model.safetensors",
)
"""Weights of a directory, as peft, transformers and diffusers call them."""
FLOATS = ("F64", "F32", "F16", "BF16")


def find_checkpoints(directory: Path) -> list[tuple[Concept, Path]]:
    """Return concepts and their weights: NAME.safetensors with NAME.txt, or NAME/ with weights and prompt.txt.

    Captions may also stand in captions.json, `{"NAME": ["caption", ...]}`. Raises UsageError where there is no such
    directory, InputError where a checkpoint has no caption, or one that says nothing, or there are none.
    """
    shown = printable(str(directory))
    if not directory.is_dir():
        raise UsageError(f"{shown}: no such directory of checkpoints")
    files = {f.stem: f for f in sorted(directory.glob("*.safetensors")) if not f.name.startswith(".")}
    for folder in sorted(d for d in directory.iterdir() if d.is_dir() and not d.name.startswith(".")):
        inside = next((folder / name for name in INSIDE if (folder / name).is_file()), None)
        if inside is not None:
            files.setdefault(folder.name, inside)
    if not files:
        raise InputError(f"{shown}: expected checkpoints as NAME.safetensors or NAME/{INSIDE[0]}, found none")
    said = read_json(directory / CAPTIONS) if (directory / CAPTIONS).is_file() else {}
    found = [(Concept(n, (), _captions(directory, n, file, said)), file) for n, file in sorted(files.items())]
    check_askable((concept for concept, _ in found), str(directory))
    return found


def same_shapes(files: list[Path]) -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor; raises InputError for the first file that has others than the first one."""
    expected: dict[str, tuple[int, ...]] = {}
    for file in files:
        entries, _ = read_header(file)
        shown = printable(str(file))
        odd = next((n for n, e in entries.items() if e.dtype not in FLOATS), None)
        if odd is not None:
            raise InputError(
                f"{shown}: '{printable(odd)}' is {entries[odd].dtype}, expected floating-point numbers.\n"
                "Counters and indices cannot be generated: leave them out of the checkpoints."
            )
        found = {name: tuple(e.shape) for name, e in entries.items()}
        expected = expected or found
        name = next((n for n in sorted({*found, *expected}) if found.get(n) != expected.get(n)), None)
        if name is not None:
            raise InputError(
                f"{shown}: '{printable(name)}' is {_shape(found.get(name))}, in {printable(files[0].name)} it is "
                f"{_shape(expected.get(name))}.\nA weights dataset holds networks of one architecture."
            )
    return expected


def load_tensors(file: Path) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint, float32."""
    from safetensors.torch import load_file

    return {name: tensor.float() for name, tensor in load_file(file).items()}


def is_finite(tensors: Mapping[str, Tensor]) -> bool:
    """Whether every value is a number."""
    return all(bool(torch.isfinite(t).all()) for t in tensors.values())


def _captions(directory: Path, name: str, file: Path, said: dict[str, Any]) -> tuple[str, ...]:
    where = printable(str(directory / CAPTIONS))
    if name in said:
        found = [said[name]] if isinstance(said[name], str) else said[name]
        if not isinstance(found, list) or not found or not all(isinstance(c, str) and c.strip() for c in found):
            raise InputError(f"{where}: {printable(name)}: expected a caption or a list of captions")
        return tuple(found)
    beside = file.with_suffix(".txt") if file.parent == directory else file.parent / PROMPT
    if not beside.is_file():
        raise InputError(
            f"{printable(str(file))}: has no caption. Write one to {printable(beside.name)} beside it, or to {CAPTIONS}"
        )
    return read_captions(beside)


def _shape(shape: tuple[int, ...] | None) -> str:
    return "missing" if shape is None else str(list(shape))
