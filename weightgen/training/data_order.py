"""Which items a training step sees, and with which random draws: a function of seeds and step alone.

Nothing here has a state, so a resumed run and a run on more processes see exactly what one uninterrupted process does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch.utils.data import Dataset

from weightgen.training.settings import Settings
from weightgen.training.task import Batch, Task


def items_of_step(step: int, batch_size: int, count: int, seed: int) -> np.ndarray:
    """Return the items of a step's global batch, (batch_size,): shuffled epochs of `count` items, end to end."""
    positions = np.arange(step * batch_size, (step + 1) * batch_size)
    epochs = positions // count
    orders = {e: np.random.default_rng([seed, int(e)]).permutation(count) for e in np.unique(epochs)}
    return np.array([orders[e][p] for e, p in zip(epochs, positions % count, strict=True)])


def draws_of_step(step: int, batch_size: int, seed: int) -> np.ndarray:
    """Return one 63-bit augmentation seed for each position of a step's global batch, (batch_size,)."""
    return np.random.default_rng([seed, step]).integers(0, 2**63, batch_size)


@dataclass(frozen=True)
class StepBatches(Dataset[list[Batch]]):
    """Maps a step to one process's micro-batches of it."""

    task: Task
    settings: Settings
    process: int = 0
    processes: int = 1

    def __getitem__(self, step: int) -> list[Batch]:
        how, count = self.settings, self.task.sizes["train"]
        items = items_of_step(step, how.batch_size, count, how.data_seed)
        draws = draws_of_step(step, how.batch_size, how.augment_seed)
        parts = np.split(np.arange(how.batch_size), self.processes * how.accumulate)
        mine = parts[self.process * how.accumulate : (self.process + 1) * how.accumulate]
        return [self.task.batch("train", items[p].tolist(), draws[p].tolist()) for p in mine]
