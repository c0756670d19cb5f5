"""Shapes: closed surfaces as signed distances or occupancy of points in [-1, 1]^3."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from weightgen.errors import InputError, printable
from weightgen.inr.config import Strict
from weightgen.inr.derivatives import Batch
from weightgen.inr.signals.files import find_files, names_of
from weightgen.inr.signals.grids import Coordinates
from weightgen.inr.signals.kind import Evaluate, Kind, Signal
from weightgen.inr.signals.meshes import SUFFIXES, read_triangles, sample
from weightgen.training.task import Metric

GRID = Coordinates()  # of marching cubes: cells of [-1, 1]^3
SIDE = 128  # its cells along a side, where nothing else is asked for


class ShapeConfig(Strict):
    """Conventions of shapes: a field's coordinates are x, y, z in [-1, 1]."""

    target: Literal["sdf", "occupancy"] = "sdf"
    """sdf: distance to the surface in units of `truncation`, negative inside, kept within [-1, 1]. occupancy: the
    logit of being inside."""
    points: int = Field(50_000, ge=2, le=1 << 24)
    """Learned from, half of them near the surface; the fit is judged on as many others."""
    seed: int = Field(0, ge=0)
    extent: float = Field(0.8, gt=0, le=1)
    """Meshes are centred and scaled so that the longest side of their box is twice this."""
    truncation: float = Field(0.1, gt=0)
    """Distance beyond which all points are equally far."""


class Shapes(Kind):
    """Watertight meshes. The metric is the intersection over union of what is inside, over uniform points of the cube.

    Loss: of distances the mean squared error, of occupancy the binary cross-entropy. The field learns the truncated
    distance itself: clamping what it says (Park et al. 2019) would leave it without a gradient where it is far off.
    """

    name = "shape"
    Config = ShapeConfig
    metric = Metric("IoU", higher_is_better=True, limits=(0.0, 1.0))
    suffixes = SUFFIXES
    inputs, dimensions = 3, 3
    outputs = 1
    sizes = (2, 1024)  # 4 GiB of values
    read_by = ("target", "points", "seed", "extent", "truncation")

    def __init__(self, config: ShapeConfig) -> None:
        super().__init__(config)
        self.distances, self.sampled, self.seed = config.target == "sdf", config.points, config.seed
        self.extent, self.truncation = config.extent, config.truncation

    @classmethod
    def conventions(cls, data: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        return arguments

    def load(self, data: str) -> list[Signal]:
        files = find_files(data, SUFFIXES, "meshes", beside=(".mtl", ".png", ".jpg"))
        return [Signal(name, self._read(f)) for name, f in zip(names_of(files), files, strict=True)]

    def _read(self, file: Path) -> dict[str, Batch]:
        truncation = self.truncation if self.distances else None
        cloud = sample(read_triangles(file), self.extent, self.sampled, truncation, self.seed)
        if not cloud.inside.any():
            raise InputError(
                f"{printable(str(file))}: none of {self.sampled} points around it is inside, expected a solid shape.\n"
                "If it is just thin, take more points: --signal-args points=..."
            )
        values = cloud.values / self.truncation if self.distances else cloud.values
        looks = {"learned": (cloud.points, values), "judged": (cloud.judged, cloud.inside.astype(np.float32))}
        return {
            n: {"coordinates": torch.from_numpy(p), "values": torch.from_numpy(v).unsqueeze(1)}
            for n, (p, v) in looks.items()
        }

    def count(self, signal: Signal) -> int:
        return self.sampled

    def observe(self, signal: Signal, which: Tensor | None = None, generator: torch.Generator | None = None) -> Batch:
        found: Batch = signal.data["learned"]
        return found if which is None else {n: v[which] for n, v in found.items()}

    def judged(self, signal: Signal) -> Batch:
        """Return other points (N, 3), and whether they are inside, (N, 1)."""
        found: Batch = signal.data["judged"]
        return found

    def loss(self, predicted: Tensor, batch: Batch) -> Tensor:
        """Return each task's loss, (T,)."""
        if self.distances:
            return super().loss(predicted, batch)
        entropy = torch.nn.functional.binary_cross_entropy_with_logits(predicted, batch["values"], reduction="none")
        return entropy.mean((1, 2))

    def score(self, evaluate: Evaluate, batch: Batch) -> Tensor:
        """Return each task's intersection over union of the insides, (T,)."""
        found, true = self._inside(evaluate(batch["coordinates"])), batch["values"] > 0.5
        return (found & true).sum((1, 2)) / (found | true).sum((1, 2))

    def _inside(self, values: Tensor) -> Tensor:
        return values < 0 if self.distances else values > 0

    def shape(self, signal: Signal) -> list[int]:
        return [SIDE] * 3

    def render(self, evaluate: Evaluate, shape: Sequence[int], size: int | None = None) -> Any:
        """Return the surface as a `trimesh.Trimesh` in [-1, 1]^3, by marching cubes on a grid of `size` cells a side.

        Raises UsageError for a grid too large, InputError where the field has no surface.
        """
        import trimesh
        from skimage.measure import marching_cubes

        side = size or max(shape)
        self.check_size(side)
        grid = GRID.drawn(evaluate, (side,) * 3)[..., 0]
        low, high = float(grid.min()), float(grid.max())
        if not low < 0 < high:  # NaN as well
            raise InputError(
                f"the field has no surface: on a grid of {side}^3 its values lie from {low:.3g} to {high:.3g},\n"
                "expected both signs. Fit it with more steps, or at another rate."
            )
        axis = GRID.along(side, side).double().numpy()
        cubes: Any = marching_cubes  # untyped
        vertices, faces, _, _ = cubes(grid, 0.0, gradient_direction="descent" if self.distances else "ascent")
        return trimesh.Trimesh(axis[0] + vertices * (axis[1] - axis[0]), faces, process=True)

    def save(self, rendered: Any, scratch: Path, shape: Sequence[int]) -> None:
        """Write the mesh as its suffix says."""
        rendered.export(scratch, file_type=scratch.suffix[1:].lower())
