"""The optimizer of every training, and the course of its learning rate."""

from __future__ import annotations

import torch

from weightgen.training.gradient_noise import add_noise
from weightgen.training.layca import Layca
from weightgen.training.settings import Settings


def make_optimizer(model: torch.nn.Module, settings: Settings) -> torch.optim.Optimizer:
    """Return the optimizer that the settings name, which adds noise to gradients where they ask for it.

    AdamW (Loshchilov and Hutter 2019) decays matrices and leaves biases and norms alone; Layca decays nothing.
    """
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = Layca(trained, settings.learning_rate) if settings.optimizer == "layca" else _adamw(trained, settings)
    if settings.gradient_noise:
        add_noise(optimizer, settings.gradient_noise, settings.augment_seed)
    return optimizer


def _adamw(trained: list[torch.nn.Parameter], settings: Settings) -> torch.optim.Optimizer:
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
