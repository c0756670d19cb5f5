"""Noise on gradients that falls with the steps: it helps deep networks that start badly.

Neelakantan et al., "Adding gradient noise improves learning for very deep networks", 2015, arXiv 1511.06807.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from weightgen.training.held import kept_of

DECAY = 0.55
STEPS = "noise_steps"
"""Entry of an optimizer's groups, which are saved and resumed with it: how often noise has been added."""


def deviation(step: int, eta: float) -> float:
    """Return sqrt(eta / (1 + step)^.55): what the paper's formula gives is the variance."""
    return math.sqrt(eta / (1 + step) ** DECAY)


def add_noise(optimizer: torch.optim.Optimizer, eta: float, seed: int) -> None:
    """Let an optimizer add N(0, eta / (1 + t)^.55) to every gradient at its step t, after whatever has clipped them.

    Entries that a mask sets to zero get none. The noise is decided by seed and step alone: a run that was resumed, and
    each process of several, draws the same.
    """
    for group in optimizer.param_groups:
        group[STEPS] = 0

    def hook(used: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        step = used.param_groups[0][STEPS]
        generators: dict[torch.device, torch.Generator] = {}
        for group in used.param_groups:
            group[STEPS] = step + 1
            for parameter in group["params"]:
                if parameter.grad is not None:
                    device = parameter.grad.device
                    _add(parameter, generators.setdefault(device, _seeded(device, seed, step)), deviation(step, eta))

    optimizer.register_step_pre_hook(hook)


def _add(parameter: torch.Tensor, generator: torch.Generator, spread: float) -> None:
    gradient, kept = parameter.grad, kept_of(parameter)
    assert gradient is not None
    noise = torch.randn(gradient.shape, generator=generator, device=gradient.device, dtype=gradient.dtype)
    gradient.add_(noise if kept is None else noise * kept.to(noise.device), alpha=spread)


def _seeded(device: torch.device, seed: int, step: int) -> torch.Generator:
    return torch.Generator(device).manual_seed(int(np.random.default_rng([seed, step]).integers(0, 2**63)))
