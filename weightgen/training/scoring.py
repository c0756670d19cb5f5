"""Scores of a model on a split of a task's items, computed by all processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from weightgen.training.accelerator import Accelerator, accelerator, send_to_device
from weightgen.training.task import Batch, Split, Task


def score(model: torch.nn.Module, task: Task, split: Split, further: str | None = None) -> np.ndarray:
    """Return the scores of all items of a split, (items,), computed by all processes; or one of the task's further."""
    own = accelerator()
    task.place(own.device)
    return score_with(own, model.to(own.device), task, split, task.further[further] if further else None)


def score_with(
    accelerator: Accelerator,
    model: torch.nn.Module,
    task: Task,
    split: Split,
    by: Callable[[Any, Batch], torch.Tensor] | None = None,
) -> np.ndarray:
    """Return the scores of a prepared model, (items,), by the task's own scores or by others."""
    count, at_once = task.sizes[split], task.scoring_batch
    found = torch.zeros(count, dtype=torch.float32, device=accelerator.device)
    was_training = model.training
    model.eval()
    # In inference mode tensors could not be reused by a later backward pass; caches inside models are.
    with torch.no_grad(), accelerator.autocast():
        for start in range(0, count, at_once * accelerator.num_processes):
            # Every process runs the model equally often, since sharded models exchange weights when they run: one
            # that has nothing left repeats the first batch and drops what it finds.
            first = start + at_once * accelerator.process_index
            left = list(range(first, min(first + at_once, count)))
            items = left or list(range(min(at_once, count)))
            batch = send_to_device(task.batch(split, items), accelerator.device)
            scores = (by or task.scores)(task.forward(model, batch), batch).float()
            if left:
                found[first : first + len(left)] = scores
    model.train(was_training)
    return np.asarray(accelerator.reduce(found, "sum").cpu())
