"""A small random change of a start, for the butterfly test.

Altintas et al., "The butterfly effect: neural network training trajectories are highly sensitive to initial
conditions", ICML 2025; code of gsaltintas/lmc.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from weightgen.errors import UsageError


@dataclass(frozen=True)
class Perturbation:
    """What was changed."""

    l2: float
    """Norm of the change."""
    expected_l2: float
    """Norm that random values of the initial deviations would have."""
    changed: float
    """Share of the entries that are other numbers now: a change below their precision is none."""


def initial_deviation(parameter: Tensor) -> float:
    """Return the deviation of a parameter's initial values, or 1 / sqrt(fan-in) where they are constant.

    A vector's fan-in is its length: norms feed a layer of as many inputs, whose weights have that deviation.
    """
    values = parameter.detach().double()
    found = float(values.std(unbiased=False)) if values.numel() > 1 else 0.0
    fan_in = values[0].numel() if values.ndim > 1 else values.numel()
    return found if found > 1e-12 * (1 + float(values.abs().max())) else 1 / math.sqrt(max(1, fan_in))


def perturb_(
    model: nn.Module,
    scale: float,
    generator: torch.Generator,
    *,
    fraction: float = 1.0,
    direction: Mapping[str, Tensor] | None = None,
) -> Perturbation:
    """Change a start's parameters in place by noise of `scale` times the norm that initial values have themselves.

    The noise is Gaussian with each parameter's initial deviation, norms and biases too, or `direction`, the gradient of
    a batch say; it is scaled to that norm, and then a random `fraction` of the entries keeps it. A scale of 0 changes
    nothing. Raises UsageError for a negative scale, a fraction outside [0, 1], or a direction of zeros.
    """
    if not 0 <= scale < math.inf or not 0 <= fraction <= 1:
        raise UsageError(f"perturbation: expected scale >= 0 and 0 <= fraction <= 1, found {scale:g} and {fraction:g}")
    parameters = dict(model.named_parameters())
    spreads = {n: initial_deviation(p) for n, p in parameters.items()}
    expected = math.sqrt(sum(s**2 * parameters[n].numel() for n, s in spreads.items()))
    drawn = direction or {n: s * _normal(parameters[n], generator) for n, s in spreads.items()}
    norm = math.sqrt(sum(float(d.double().square().sum()) for d in drawn.values()))
    if not norm:
        raise UsageError("perturbation: a direction of zeros has no length")
    l2 = changed = 0.0
    with torch.no_grad():
        for name, parameter in parameters.items():
            noise = drawn[name].to(parameter.device) * (scale * expected / norm)
            if fraction < 1:
                chosen = torch.rand(parameter.shape, generator=generator) < fraction
                noise = noise * chosen.to(parameter.device)
            before = parameter.detach().clone()
            parameter.add_(noise)
            moved = (parameter - before).double()
            l2 += float(moved.square().sum())
            changed += int((moved != 0).sum())
    return Perturbation(math.sqrt(l2), expected, changed / max(1, sum(p.numel() for p in parameters.values())))


def _normal(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(like.shape, generator=generator)
