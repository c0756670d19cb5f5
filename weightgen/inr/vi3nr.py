"""VI3NR: weights that keep the variance of preactivations and of gradients, whatever the activation.

Hewa Koneputugodage et al., CVPR 2025, arXiv 2504.19270, with sums over a grid (gain.py) in place of their Monte
Carlo. This is the rule for coordinate networks; `preserving_` is that for any layer.
"""

from __future__ import annotations

import math

import torch

from weightgen.errors import UsageError
from weightgen.inits.activations import Activation
from weightgen.inits.gain import balance, balanced_sigma, gain, moments
from weightgen.inr.config import FieldConfig
from weightgen.inr.field import Field, activate
from weightgen.inr.layer import Layer

__all__ = ["Activation", "balance", "balanced_sigma", "gain", "moments", "vi3nr_"]


def vi3nr_(
    field: Field, generator: torch.Generator, sigma: float | None = None, low: float = -1.0, high: float = 1.0
) -> None:
    """Draw a field's weights in place: normal, of deviation sigma_p / sqrt(fan_in E x^2), x being the layer's inputs.

    Preactivations get deviation `sigma` in every layer, or the `balanced_sigma` of the layer's own activation where it
    is None: the first layer's frequency may be another. E x^2 of the first layer is that of coordinates uniform in
    [low, high], or 1/2 of an encoding's features (the squares of sine and cosine of a phase add to 1).
    After the output layer no activation asks for a sigma_p: it gets that of the last hidden layer, as in the authors'
    code, so that sine and Gaussian fields start close to 0, as SIREN's do. Of WIRE's complex output only the real part
    is kept, which has half the variance. Biases become 0, as the theory assumes: FINER's wide first ones too.
    Raises UsageError for a sigma that is not positive or an empty range.
    """
    if not -math.inf < low < high < math.inf:
        raise UsageError(f"coordinates: expected low < high, found {low:g} and {high:g}")
    config = field.config
    coordinates = (low**2 + low * high + high**2) / 3 if config.encoding.kind == "none" else 0.5
    first = _statistics(config, config.first_frequency, False, sigma)
    rest = _statistics(config, config.frequency, config.activation == "wire", sigma)
    hidden = [first, *[rest] * (config.hidden_layers - 1)] if config.hidden_layers else []
    targets = [target for target, _ in hidden]
    targets.append(targets[-1] if targets else first[0])
    inputs = [coordinates, *[size for _, size in hidden]]
    with torch.no_grad():
        for layer, target, size in zip(field.net, targets, inputs, strict=True):
            assert isinstance(layer, Layer)
            parts = 2 if layer.is_complex else 1
            layer.weight.normal_(0.0, target / math.sqrt(layer.fan_in * size * parts), generator=generator)
            layer.bias.zero_()


def _statistics(config: FieldConfig, frequency: float, is_complex: bool, sigma: float | None) -> tuple[float, float]:
    """Return the deviation of a hidden layer's preactivations and E|f|^2 there."""
    scales = {"gauss": config.spread, "relu": 1.0}
    f = activate(config, frequency)
    target = balanced_sigma(f, scales.get(config.activation, frequency), is_complex) if sigma is None else sigma
    return target, moments(f, target, is_complex)[0]
