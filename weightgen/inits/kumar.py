"""Kumar's rule: the variance of weights from an activation's value and slope at 0."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from weightgen.errors import UsageError
from weightgen.inits import tensors
from weightgen.inits.activations import Activation, activation_of

STEP = 1e-6  # of difference quotients; in float64 their error is about 1e-10 of the function's size
AGREEMENT = 0.01  # of four quotients; x log|x|, whose slope has no limit, differs by 5% between STEP and STEP / 2


def kumar_std(activation: str | Activation, fan_in: int) -> float:
    """Return the deviation of weights before an activation g: std^2 = 1 / (fan_in g'(0)^2 (1 + g(0)^2)).

    fan_in x std^2 is 1 for tanh and sine, 12.8 for the sigmoid, 2.70188 for softplus, and 4 for GELU and SiLU. ReLU,
    which has no slope at 0, has its own result, 2. The formula is linear in g around 0, unlike
    `preserving_`'s exact mean square, which gives GELU 2.35.

    The paper prints 3.6 for the sigmoid: that is sqrt(12.8) = 3.5777, a deviation, not a variance.
    Kumar, "On weight initialization in deep neural networks" (arXiv 1704.08863): the general strategy for activations
    that are differentiable at 0, and the one for ReLU.
    Raises UsageError for an unknown name, a fan-in below 1, and a g with no value, no slope or a slope of 0 at 0.

    >>> round(kumar_std("sigmoid", 100), 5)
    0.35777
    """
    if fan_in < 1:
        raise UsageError(
            f"fan_in: expected 1 or more, found {fan_in}: a layer without inputs has nothing to initialise"
        )
    g = activation_of(activation)
    grid = torch.linspace(-10, 10, 2001, dtype=torch.float64)
    with torch.no_grad():
        if torch.equal(g(grid), grid.clamp(min=0)):
            return math.sqrt(2 / fan_in)
        value, slope = _at_zero(g)
    return 1 / (abs(slope) * math.sqrt(fan_in * (1 + value**2)))


def kumar_(weight: Tensor, activation: str | Activation, generator: torch.Generator | None = None) -> Tensor:
    """Return the weight (out, in) or (out, in / groups, *kernel), drawn in place from N(0, kumar_std^2); biases are 0.

    `activation` comes after this layer. Raises UsageError as `check_weight` and `kumar_std` do.

    >>> weight = kumar_(torch.empty(200, 100), "tanh", torch.Generator().manual_seed(0))
    >>> round(float(weight.std()), 2)
    0.1
    """
    tensors.check_weight(weight, "kumar_")
    return tensors.fill(weight, kumar_std(activation, tensors.fan_in(weight)), generator)


def _at_zero(g: Activation) -> tuple[float, float]:
    """Return g(0) and g'(0); raises UsageError where one of them is not there."""
    advice = "Kumar's rule needs a slope there. preserving_ takes any activation"
    points = torch.tensor([0.0, -STEP, -STEP / 2, STEP / 2, STEP], dtype=torch.float64)
    values = g(points)
    if values.shape != points.shape:
        raise UsageError("activation: expected a function of each element by itself")
    value, *around = values.tolist()
    slopes = [(there - value) / float(x) for there, x in zip(around, points[1:], strict=True)]
    if not all(map(math.isfinite, [value, *slopes])):
        raise UsageError(f"activation: has no value at 0: {advice}")
    largest = max(map(abs, slopes))
    if largest < 1e-5:
        raise UsageError(f"activation: its slope at 0 is 0: {advice}")
    if max(slopes) - min(slopes) > AGREEMENT * largest:
        raise UsageError(f"activation: not differentiable at 0 (slopes {slopes[0]:g} and {slopes[-1]:g}): {advice}")
    return value, (around[-1] - around[0]) / (2 * STEP)
