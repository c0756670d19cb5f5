"""Views: scenes seen by posed cameras, as radiance fields."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field, FiniteFloat, model_validator
from torch import Tensor

from weightgen.inr.config import Strict
from weightgen.inr.derivatives import Batch, chunks
from weightgen.inr.signals.files import names_of
from weightgen.inr.signals.kind import Evaluate, Kind, Signal, psnr
from weightgen.inr.signals.scenes import TEST, Posed, find_scenes, read_cameras, read_scene
from weightgen.inr.signals.volume import camera_rays, composite, depths
from weightgen.reading.images import SUFFIXES

POINTS = 1 << 16  # at a time where no gradient is kept, over all tasks
JUDGED = 1 << 14  # rays of held-out views
Row = tuple[FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat]


class ViewConfig(Strict):
    """Conventions of views: a field maps x, y, z to three colours before a sigmoid and a density before a softplus."""

    near: float = Field(2.0, ge=0)
    far: float = Field(6.0, gt=0)
    """Depths between which there is something to see, in the scene's own units."""
    samples: int = Field(64, ge=1, le=1 << 12)
    """Points along a ray."""
    background: Literal["white", "black"] = "white"
    """What is behind everything, in transparent images too."""
    downscale: int = Field(1, ge=1, le=1 << 10)
    """Divides the images' sides."""
    scale: float = Field(4.0, gt=0)
    """World coordinates are divided by it, to fall in [-1, 1]."""
    views: int | None = Field(None, ge=1)
    """Learn from so few of a scene's views, equally spaced among them (learnit fits from one)."""
    angle: float = Field(0.6911, gt=0, lt=math.pi)
    """Horizontal field of view, in radians, of what is drawn of a fit."""
    pose: tuple[Row, Row, Row, Row] = ((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 4), (0, 0, 0, 1))
    """Camera to world of what is drawn of a fit: that of the first view held out of the first scene."""

    @model_validator(mode="after")
    def _order(self) -> ViewConfig:
        if self.near >= self.far:
            raise ValueError("near is not less than far")
        return self


class Views(Kind):
    """Scenes of nerf-synthetic's layout. An observation is a ray and its colour.

    Judged by the PSNR of views that were not learned from: those of transforms_test.json, else every 8th. The field's
    output stays linear: sigmoid and softplus belong to the rendering.
    """

    name = "views"
    Config = ViewConfig
    suffixes = SUFFIXES
    inputs, dimensions = 3, 3
    outputs = 4
    read_by = ("background", "downscale", "views")

    def __init__(self, config: ViewConfig) -> None:
        super().__init__(config)
        self.near, self.far, self.samples, self.scale = config.near, config.far, config.samples, config.scale
        self.background, self.downscale, self.views = config.background, config.downscale, config.views
        self.angle, self.pose = config.angle, torch.tensor(config.pose)

    @classmethod
    def conventions(cls, data: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        return {**cls.own(data), **arguments}

    @classmethod
    def own(cls, data: str) -> Mapping[str, Any]:
        file = find_scenes(data)[0]
        test = file.with_name(TEST)
        angle, frames = read_cameras(test if test.exists() else file)
        return {"angle": angle, "pose": frames[0][1].tolist()}

    def load(self, data: str) -> list[Signal]:
        files = find_scenes(data)
        names = names_of([f.resolve().parent for f in files])
        scenes = (read_scene(f, self.background, self.downscale, self.views) for f in files)
        return [Signal(name, scene) for name, scene in zip(names, scenes, strict=True)]

    def count(self, signal: Signal) -> int:
        return int(signal.data.learned.images[..., 0].numel())

    def points(self, signal: Signal) -> int:
        return self.count(signal) * self.samples

    def observe(self, signal: Signal, which: Tensor | None = None, generator: torch.Generator | None = None) -> Batch:
        """Return points along rays (M, samples, 3), what length each stands for, (M, 1), and the colours, (M, 3).

        With a generator the points are drawn anew at every look (stratified sampling).
        """
        return self._look(signal.data.learned, which, generator)

    def judged(self, signal: Signal) -> Batch:
        """Return rays of the views held out; of very many, some thousand at random, the same for every fit."""
        count = int(signal.data.held_out.images[..., 0].numel())
        which = None
        if count > JUDGED:
            which = torch.randint(count, (JUDGED,), generator=torch.Generator().manual_seed(0))
        return self._look(signal.data.held_out, which, None)

    def _look(self, posed: Posed, which: Tensor | None, generator: torch.Generator | None) -> Batch:
        views, height, width, _ = posed.images.shape
        which = torch.arange(views * height * width) if which is None else which
        view, pixel = which // (height * width), which % (height * width)
        rays = camera_rays(posed.poses[view], posed.angle, height, width, pixel)
        return {**self._points(*rays, generator), "values": posed.images.view(-1, 3)[which].float() / 255}

    def _points(self, origins: Tensor, directions: Tensor, generator: torch.Generator | None = None) -> Batch:
        draws = torch.full((1, self.samples), 0.5)
        if generator is not None:
            draws = torch.rand(len(origins), self.samples, generator=generator)
        places = depths(self.near, self.far, self.samples, draws).unsqueeze(-1)
        points = (origins.unsqueeze(-2) + places * directions.unsqueeze(-2)) / self.scale
        lengths = directions.norm(dim=-1, keepdim=True) * (self.far - self.near) / self.samples
        return {"coordinates": points, "lengths": lengths}

    def predict(self, evaluate: Evaluate, batch: Batch) -> Tensor:
        """Return the colours that rays show, (T, M, 3)."""
        points = batch["coordinates"]
        values = evaluate(points.flatten(1, 2)).view(*points.shape[:3], self.outputs)
        return composite(values, batch["lengths"], 1.0 if self.background == "white" else 0.0)

    def score(self, evaluate: Evaluate, batch: Batch) -> Tensor:
        """Return each task's PSNR over the pixels of held-out views, (T,), in dB."""
        errors = [self.loss(self.predict(evaluate, part), part) * share for part, share in chunks(batch, POINTS)]
        return psnr(torch.stack(errors).sum(0))

    def shape(self, signal: Signal) -> list[int]:
        return list(signal.data.held_out.images.shape[:3])

    def itself(self, signal: Signal) -> np.ndarray:
        """Return the first view held out, (height, width, 3) in [0, 1]."""
        return np.asarray(signal.data.held_out.images[0].float() / 255)

    def aimed(self, signal: Signal) -> Views:
        seen = signal.data.held_out
        camera = {"angle": seen.angle, "pose": seen.poses[0].tolist()}
        return Views(ViewConfig(**{**self.config.model_dump(), **camera}))

    def render(self, evaluate: Evaluate, shape: Sequence[int], size: int | None = None) -> np.ndarray:
        """Return what the configured camera sees, (height, width, 3) in [0, 1]; `size` is the longer side."""
        height, width = (max(1, round(n * (size or max(shape[1:])) / max(shape[1:]))) for n in shape[1:])
        seen = []
        for pixels in torch.split(torch.arange(height * width), max(1, POINTS // self.samples)):
            look = self._points(*camera_rays(self.pose.unsqueeze(0), self.angle, height, width, pixels))
            seen.append(self.predict(evaluate, {n: v.unsqueeze(0) for n, v in look.items()})[0])
        return np.asarray(torch.cat(seen).clamp(0, 1).view(height, width, 3).float().cpu())

    def save(self, rendered: np.ndarray, scratch: Path, shape: Sequence[int]) -> None:
        from PIL import Image

        Image.fromarray(np.rint(rendered * 255).astype(np.uint8)).save(scratch)
