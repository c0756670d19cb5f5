"""The optimizer of every training, and the course of its learning rate."""

from __future__ import annotations

import torch

from weightgen.settings import Settings


def make_optimizer(model: torch.nn.Module, settings: Settings) -> torch.optim.Optimizer:
    """Return AdamW (Loshchilov and Hutter 2019) that decays matrices and leaves biases and norms alone."""
    trained = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": settings.weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, fused=True)


def make_scheduler(optimizer: torch.optim.Optimizer, settings: Settings) -> torch.optim.lr_scheduler.LRScheduler:
    """Return the learning rate's course, stepped once an optimizer step."""
    from transformers import get_scheduler

    warm = round(settings.warmup * settings.steps)
    found: torch.optim.lr_scheduler.LRScheduler = get_scheduler(settings.schedule, optimizer, warm, settings.steps)
    return found
