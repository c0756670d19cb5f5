"""Floating point operations of a training, counted by torch on the real model."""

from __future__ import annotations

import torch
from torch.utils.flop_counter import FlopCounterMode

from weightgen.training.task import Task


def count_step(model: torch.nn.Module, task: Task, batch_size: int) -> int:
    """Return the floating point operations of one training step: forward and backward, not the optimizer.

    Counted on two items and scaled, since the operations of a step are proportional to its items.
    """
    items = min(2, task.sizes["train"])
    device = next(model.parameters()).device
    batch = {
        k: v.to(device) if isinstance(v, torch.Tensor) else v
        for k, v in task.batch("train", list(range(items))).items()
    }
    counter = FlopCounterMode(display=False)
    # Counting must leave no trace: batch statistics and random numbers are put back.
    buffers = {n: b.clone() for n, b in model.named_buffers()}
    with torch.random.fork_rng(), counter:
        task.loss(task.forward(model, batch), batch).backward()  # type: ignore[no-untyped-call]
    model.zero_grad(set_to_none=True)
    with torch.no_grad():
        for name, buffer in model.named_buffers():
            buffer.copy_(buffers[name])
    return round(counter.get_total_flops() * batch_size / items)
