"""Computed tomography: slices that a field recovers from their projections along rays."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from weightgen.errors import InputError, printable
from weightgen.inr.config import Strict
from weightgen.inr.derivatives import Batch
from weightgen.inr.signals.files import find_files, names_of
from weightgen.inr.signals.grids import Coordinates
from weightgen.inr.signals.kind import Evaluate, Kind, Signal, Suited
from weightgen.inr.signals.radon import interpolated, ray_points
from weightgen.reading.images import SUFFIXES, channels_of, open_image

GRID = Coordinates()  # of a slice's pixels: centres of the cells of [-1, 1]^2
SIDE = 128  # pixels that larger slices are learned with, where nothing else is asked for
RAYS = 1 << 14  # at a time, of a sinogram


class TomographyConfig(Strict):
    """Conventions of slices: values are in [0, 1], coordinates are row and column in [-1, 1]."""

    size: int = Field(SIDE, ge=1, le=4096)
    """Pixels of the slice's side; slices of other sizes are resized."""
    rays: int = Field(SIDE, ge=1, le=4096)
    """Of one view, next to each other over the width of the slice."""
    samples: int = Field(SIDE, ge=1, le=4096)
    """Points along a ray, from edge to edge of the slice."""
    angles: int = Field(180, ge=1, le=1 << 14)
    """Directions in [0, pi), equally spaced from 0, that a start is learned from."""
    views: int | None = Field(None, ge=1, le=1 << 14)
    """Fit from so few directions instead."""


class Tomography(Kind):
    """Grey square slices. An observation is a ray of a parallel beam: the mean of the values along it.

    A start learns from rays of many directions, as learnit does from random ones (Tancik et al. 2021); `views` of a few
    is the reconstruction that it is for. Either is judged by the slice itself: the PSNR of all pixels.
    """

    name = "ct"
    Config = TomographyConfig
    suited = Suited({"hidden": 256, "hidden_layers": 2, "offset": 0.2}, 0.01)
    suffixes = SUFFIXES
    inputs, dimensions = 2, 2
    outputs = 1
    read_by = ("size",)

    def __init__(self, config: TomographyConfig) -> None:
        super().__init__(config)
        self.size, self.rays, self.samples = config.size, config.rays, config.samples
        self.views = config.views or config.angles

    @classmethod
    def conventions(cls, data: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        if "size" in arguments:
            return arguments
        side = min(SIDE, *(open_image(f).height for f in find_files(data, SUFFIXES, "slices")))
        return {"size": side, "rays": side, "samples": side, **arguments}

    def load(self, data: str) -> list[Signal]:
        files = find_files(data, SUFFIXES, "slices")
        return [self._read(name, f) for name, f in zip(names_of(files), files, strict=True)]

    def _read(self, name: str, file: Path) -> Signal:
        """Return a slice as (size, size) bytes. Scanners write 12 bits into 16, at any offset: black is the least."""
        image = open_image(file, windowed=True)
        if image.width != image.height:
            raise InputError(
                f"{printable(str(file))}: is {image.width} x {image.height} pixels, expected a square slice.\n"
                "Pad or crop it first."
            )
        if channels_of(image) == 4:
            raise InputError(f"{printable(str(file))}: has transparency, expected a grey slice. Flatten it first.")
        pixels = np.asarray(image.convert("RGB"))
        if np.ptp(pixels, axis=2).any():
            raise InputError(f"{printable(str(file))}: has colours, expected a grey slice. Convert it first.")
        grey = image.convert("L")
        grey = grey if grey.width == self.size else grey.resize((self.size, self.size))
        window = image.info.get("window")
        remark = None if window is None else f"values spread from {window[0]:g} (black) to {window[1]:g} (white)"
        return Signal(name, torch.from_numpy(np.array(grey)), remark=remark)

    def count(self, signal: Signal) -> int:
        return self.views * self.rays

    def points(self, signal: Signal) -> int:
        return self.count(signal) * self.samples

    def observe(self, signal: Signal, which: Tensor | None = None, generator: torch.Generator | None = None) -> Batch:
        """Return points along rays (M, samples, 2), and the means of the slice there, (M, 1).

        The places along a ray are never drawn: its measured mean is one number.
        """
        which = torch.arange(self.count(signal)) if which is None else which
        angles = (which // self.rays) * (math.pi / self.views)
        points = ray_points(angles, GRID.along(self.rays, self.rays)[which % self.rays], self.samples)
        return {"coordinates": points, "values": interpolated(signal.data.float() / 255, points).mean(1, keepdim=True)}

    def judged(self, signal: Signal) -> Batch:
        """Return all pixels: coordinates (M, 2) and values (M, 1)."""
        return {"coordinates": GRID.of((self.size,) * 2), "values": signal.data.view(-1, 1).float() / 255}

    def sinogram(self, signal: Signal, evaluate: Evaluate | None = None) -> np.ndarray:
        """Return the means along all rays, (views, rays): of the slice, or of the field that `evaluate` gives.

        The difference of both is what a fit leaves unexplained.
        """
        found = []
        for which in torch.split(torch.arange(self.count(signal)), RAYS):
            look = {n: v.unsqueeze(0) for n, v in self.observe(signal, which).items()}
            found.append((look["values"] if evaluate is None else self.predict(evaluate, look))[0, :, 0])
        return np.asarray(torch.cat(found).float().cpu()).reshape(self.views, self.rays)

    def itself(self, signal: Signal) -> np.ndarray:
        return np.asarray(signal.data.unsqueeze(-1).float() / 255)

    def shape(self, signal: Signal) -> list[int]:
        return [self.size] * 2

    def render(self, evaluate: Evaluate, shape: Sequence[int], size: int | None = None) -> np.ndarray:
        """Return the slice (side, side, 1) in [0, 1], clipped."""
        side = size or max(shape)
        return GRID.drawn(evaluate, (side, side)).clip(0, 1)

    def save(self, rendered: np.ndarray, scratch: Path, shape: Sequence[int]) -> None:
        from PIL import Image

        Image.fromarray(np.rint(rendered[..., 0] * 255).astype(np.uint8)).save(scratch)
