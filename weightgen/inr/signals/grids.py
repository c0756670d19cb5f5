"""Coordinates of regular grids: one place where ranges, end points and aspect become numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from weightgen.inr.config import Strict

Sampling = Literal["centres", "left", "ends"]


DRAWN = 1 << 18  # cells of a grid at a time


class Coordinates(Strict):
    """How grid positions become coordinates. Axes are rows, columns, ... ('ij'); all have the same spacing."""

    low: float = -1.0
    high: float = 1.0
    sampling: Sampling = "centres"
    """Along the longest axis: cell centres, half a cell from both ends; `left` edges, as learnit and the Fourier
    features have it, high excluded; or both `ends` included, as SIREN has it."""

    def along(self, count: int, longest: int) -> Tensor:
        """Return the coordinates of `count` cells of an axis, where the longest axis has `longest`.

        Shorter axes are centred, so that nothing is stretched.
        """
        step = (self.high - self.low) / (longest - 1 if self.sampling == "ends" and longest > 1 else longest)
        first = self.low + (step / 2 if self.sampling == "centres" else 0.0) + step * (longest - count) / 2
        return first + step * torch.arange(count, dtype=torch.float32)

    def of(self, sizes: tuple[int, ...], which: Tensor | None = None) -> Tensor:
        """Return the coordinates (M, len(sizes)) of a grid's cells, all of them row by row or those of `which`."""
        axes = [self.along(n, max(sizes)) for n in sizes]
        if which is None:
            return torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).view(-1, len(sizes))
        found = []
        for axis, size in zip(reversed(axes), reversed(sizes), strict=True):
            found.append(axis[which % size])
            which = which // size
        return torch.stack(found[::-1], -1)

    def drawn(self, evaluate: Callable[[Tensor], Tensor], sizes: tuple[int, ...]) -> np.ndarray:
        """Return a field's values at a grid's cells, (*sizes, outputs), computed a part at a time."""
        count = math.prod(sizes)
        found: np.ndarray | None = None
        for first in range(0, count, DRAWN):
            which = torch.arange(first, min(first + DRAWN, count))
            values = np.asarray(evaluate(self.of(sizes, which).unsqueeze(0))[0].float().cpu())
            found = np.empty((count, values.shape[1]), np.float32) if found is None else found
            found[first : first + len(values)] = values
        assert found is not None
        return found.reshape(*sizes, -1)
