"""One run of a race: a start, a seed, and what was measured on the way."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Run:
    """What one training run of a race left behind."""

    start: str
    seed: int
    learning_rate: float
    marks: np.ndarray
    """Steps at which the validation set was scored, (marks,), the first 0 and the last the budget."""
    curve: np.ndarray
    """Score of each validation item at each mark, (marks, items); after divergence the worst score seen."""
    test: np.ndarray
    """Score of each test item at the end, (items,)."""
    seconds: float
    """Time spent in training steps."""
    flops: float
    """Floating point operations of all its training steps."""
    diverged: int | None = None
    """Step at which the loss was no longer finite."""
