"""How a training run ends: with a model, or with a loss that is no longer finite."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from weightgen.errors import CheckError


@dataclass(frozen=True)
class Trained:
    """What a training run leaves behind."""

    model: torch.nn.Module
    """Unwrapped, on its device; the averaged weights where `ema` was asked for."""
    curve: np.ndarray
    """Scores of the validation items at each mark, (marks, items)."""
    seconds: float
    """Time in training steps, earlier parts of a resumed run included."""
    losses: list[float]
    """Mean training loss between marks."""


class Diverged(CheckError):
    """The loss, or a weight, is no longer finite (exit 1)."""

    def __init__(
        self, step: int, rate: float, kept: Path | None, curve: np.ndarray, what: str = "the loss was"
    ) -> None:
        where = f" The last good state is {kept}." if kept else ""
        super().__init__(
            f"{what} not finite at step {step} (learning rate {rate:g}).{where}\nTry a lower --lr, or --clip."
        )
        self.step, self.curve = step, curve
