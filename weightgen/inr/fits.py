"""Fitted fields on disk: the start's config.json with the names of the signals, and their weights."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field as Limits
from torch import Tensor

from weightgen.errors import InputError, UsageError, printable
from weightgen.inr.config import FieldConfig, Strict
from weightgen.inr.field import Field, frequencies_of, shapes_of
from weightgen.inr.signals.kind import Kind
from weightgen.inr.start import CONFIG, WEIGHTS, check_shapes, kind_of, parse_config, read_tensors

LARGEST = 1 << 28  # cells of a picture, or samples: Pillow reads no larger ones, a sound has no more


class FittedSignal(Strict):
    """One signal of a set of fits."""

    name: str
    shape: list[Annotated[int, Limits(ge=1)]]
    """Of the grid that it is drawn on."""
    scale: float = 1.0
    """What the field's values are multiplied by in drawing."""
    score: float | None
    """The kind's metric at the end; none where it is not finite."""


class FitsConfig(Strict):
    """config.json of fitted fields."""

    format: Literal["weightgen-inr-fits"] = "weightgen-inr-fits"
    version: Literal[1] = 1
    field: FieldConfig
    signal: dict[str, Any]
    steps: int
    signals: list[FittedSignal] = Limits(min_length=1)


@dataclass(frozen=True)
class Fits:
    """Fields fitted to signals."""

    field: Field
    kind: Kind
    tensors: Mapping[str, Tensor]
    """Stacked weights (T, ...)."""
    signals: list[FittedSignal]
    steps: int

    def save(self, directory: Path) -> None:
        """Write config.json and model.safetensors: plain tensors of one fit, (T, ...) of several."""
        from safetensors.torch import save

        config = FitsConfig(
            field=self.field.config,
            signal={"kind": self.kind.name, **self.kind.config.model_dump(mode="json")},
            steps=self.steps,
            signals=self.signals,
        )
        text = json.dumps(config.model_dump(mode="json"), indent=1, allow_nan=False)
        (directory / CONFIG).write_text(text + "\n", encoding="utf-8")
        one = len(self.signals) == 1
        tensors = {n: (t[0] if one else t).cpu().contiguous() for n, t in self.tensors.items()}
        buffers = {n: b.cpu() for n, b in self.field.named_buffers()}
        (directory / WEIGHTS).write_bytes(save({**tensors, **buffers}, metadata={"format": "pt"}))

    def one(self, index: int) -> Fits:
        """Return a single fit."""
        tensors = {n: t[index : index + 1] for n, t in self.tensors.items()}
        return Fits(self.field, self.kind, tensors, [self.signals[index]], self.steps)


def load_fits(directory: Path) -> Fits:
    """Read fitted fields; raises UsageError where there are none, InputError where they are broken."""
    shown = printable(str(directory))
    if not (directory / CONFIG).is_file():
        raise UsageError(f"{shown}: no fitted fields here ({CONFIG} is missing). Make some: weightgen fit --out")
    config = parse_config(FitsConfig, directory / CONFIG, "weightgen-inr-fits", "weightgen fit --out")
    kind = kind_of(config.signal, config.field, directory / CONFIG)
    for signal in config.signals:
        if len(signal.shape) != kind.dimensions or math.prod(signal.shape[-2:]) > LARGEST:
            raise InputError(
                f"{printable(str(directory / CONFIG))}: {kind.name} signals are drawn on a grid of {kind.dimensions} "
                f"sizes, expected no {signal.shape}"
            )
    tensors, count = read_tensors(directory / WEIGHTS), len(config.signals)
    expected = {n: shape if count == 1 else (count, *shape) for n, shape in shapes_of(config.field).items()}
    check_shapes({**expected, **frequencies_of(config.field)}, tensors, directory / WEIGHTS)
    found = Field(config.field)
    for name, buffer in found.named_buffers():
        buffer.copy_(tensors[name])
    values = {n: tensors[n].unsqueeze(0) if count == 1 else tensors[n] for n in expected}
    return Fits(found, kind, values, config.signals, config.steps)


def joined(fits: list[Fits]) -> Fits:
    """Return several sets of fits as one."""
    tensors = {n: torch.cat([f.tensors[n] for f in fits]) for n in fits[0].tensors}
    return Fits(fits[0].field, fits[0].kind, tensors, [s for f in fits for s in f.signals], fits[0].steps)


def pick(fits: Fits, name: str | None) -> Fits:
    """Return the fit of that name, or the only one; raises UsageError where that is not clear."""
    names = [s.name for s in fits.signals]
    if name is None and len(names) == 1:
        return fits
    shown = ", ".join(map(printable, names[:10])) + (", ..." if len(names) > 10 else "")
    if name is None:
        raise UsageError(f"which of {len(names)} fits? Add --name with one of {shown}")
    if name not in names:
        raise InputError(f"no fit is called '{printable(name)}'; there are {shown}")
    return fits.one(names.index(name))
