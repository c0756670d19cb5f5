"""VI3NR's gain for the layers of any network: weights that keep the variance of preactivations."""

from __future__ import annotations

import math
from typing import get_args

import torch
from torch import Tensor

from weightgen.inits.activations import Activation, activation_of
from weightgen.inits.gain import expectation, gain
from weightgen.inits.tensors import Distribution, check_positive, check_weight, check_word, fan_in, fill


def preserving_(
    weight: Tensor,
    activation: str | Activation,
    sigma: float = 1.0,
    generator: torch.Generator | None = None,
    *,
    distribution: Distribution = "normal",
) -> Tensor:
    """Return the weight (out, in) or (out, in / groups, *kernel) after an activation f, drawn in place; biases are 0.

    std = gain / sqrt(fan_in) with gain = sigma / sqrt(E f(sigma z)^2), z ~ N(0, 1): preactivations of deviation sigma
    before f have deviation sigma after this layer too, on average over weights. "uniform" is within sqrt(3) std.
    Give "identity" to a layer that no activation comes before, and `preserving_first_` to one that sees data.

    The gain is exact, by quadrature, where the authors draw a million samples; `torch.nn.init.calculate_gain` has other
    numbers (tanh 5/3 for 1.5925). It goes with fan-in: `xavier_*` with it is wrong unless layers are square.
    Noise of finite width grows as `stability_slope` ^ depth.
    Hewa Koneputugodage et al., "VI3NR" (CVPR 2025, arXiv 2504.19270).
    Raises UsageError as `check_weight` and `activation_of` do, for a sigma that is not positive, another distribution,
    and for an f that is not elementwise and differentiable, or is 0 or infinite.

    >>> weight = preserving_(torch.empty(300, 200), "tanh", generator=torch.Generator().manual_seed(0))
    >>> round(float(weight.std()) * 200**0.5, 1)
    1.6
    """
    check_weight(weight, "preserving_")
    check_word("distribution", distribution, get_args(Distribution))
    factor = gain(activation_of(activation), sigma)
    return fill(weight, factor / math.sqrt(fan_in(weight)), generator, distribution)


def preserving_first_(
    weight: Tensor,
    mean: float,
    deviation: float,
    sigma: float = 1.0,
    generator: torch.Generator | None = None,
    *,
    distribution: Distribution = "normal",
) -> Tensor:
    """Return the weight of a layer that sees data, drawn in place: its preactivations get deviation sigma.

    gain = sigma / sqrt(mean^2 + deviation^2), both of all numbers of the data as the layer sees them; otherwise as
    `preserving_` (VI3NR's first layer). Raises UsageError as `check_weight` does, for a sigma that is not positive,
    and for data that are all 0 or not finite.

    >>> weight = preserving_first_(torch.empty(300, 200), 0.5, 0.5, generator=torch.Generator().manual_seed(0))
    >>> round(float(weight.std()) * 200**0.5, 1)
    1.4
    """
    check_weight(weight, "preserving_first_")
    check_word("distribution", distribution, get_args(Distribution))
    check_positive("sigma", sigma)
    size = math.hypot(mean, deviation)
    check_positive("root mean square of the data", size)
    return fill(weight, sigma / size / math.sqrt(fan_in(weight)), generator, distribution)


def stability_slope(activation: str | Activation, sigma: float = 1.0) -> float:
    """Return d log var_out / d log var_in of one layer with `preserving_`'s weights, at preactivations of sigma.

    It is (E z^2 f^2 / (sigma^2 E f^2) - 1) / 2. A layer's chance deviation from sigma becomes slope^n of itself n
    layers on: below 1 it dies out, at 1 (ReLU) it stays, above 1 (GELU 1.144, SiLU 1.173) it grows, and deep networks
    of ordinary width drift. Raises UsageError as `activation_of` does and for a sigma that is not positive.

    >>> round(stability_slope("tanh"), 3), round(stability_slope("relu"), 3), round(stability_slope("gelu"), 3)
    (0.461, 1.0, 1.144)
    """
    f = activation_of(activation)
    size = expectation(lambda z: f(z).square(), sigma)
    return (expectation(lambda z: (z * f(z)).square(), sigma) / (sigma**2 * size) - 1) / 2
