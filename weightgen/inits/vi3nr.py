"""VI3NR: weights that keep the variance of preactivations and of gradients, whatever the activation.

Hewa Koneputugodage et al., CVPR 2025, arXiv 2504.19270, with sums over a grid in place of their Monte Carlo.

An activation is any elementwise function of a tensor. Preactivations z are N(0, sigma^2); complex ones (WIRE's, after
its first layer) are circular with E|z|^2 = sigma^2, half of it in each part. For f = u + jv of a real z, |f'|^2 is
u'^2 + v'^2; of a complex z, where f need not be analytic, it is half the squared Frobenius norm of the Jacobian of
(u, v), |df/dz|^2 + |df/dz*|^2. In both, E|f'|^2 is the factor that f gives a gradient's mean square per real number.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from weightgen.errors import UsageError
from weightgen.inr.config import FieldConfig
from weightgen.inr.field import Field, Layer, activate

Activation = Callable[[Tensor], Tensor]

POINTS = 40_000  # even, so that none is at 0, where sin(z)/z has no value and ReLU has a kink
REACH = 10.0  # deviations on each side
FLOOR, CEILING = 0.001, 10.0  # of scale * sigma_p: the authors' grid
PER_DECADE = 8
BALANCED = 1e-3  # |C - 1| below it has no sign: rounding decides that of identity and ReLU, where C = 1 everywhere


def moments(f: Activation, sigma: float, is_complex: bool = False) -> tuple[float, float]:
    """Return E|f(z)|^2 and E|f'(z)|^2, the derivative being what autograd gives: a detached factor is a constant.

    Raises UsageError for a sigma that is not positive, and for an f that is not elementwise, has no derivative, is
    zero or is not finite on the grid.
    """
    _check_positive("sigma", sigma)
    z, weights = _grid(sigma, is_complex)
    with torch.enable_grad():
        z.requires_grad_()
        values = f(z)
        if values.shape != z.shape or not values.requires_grad:
            raise UsageError("activation: expected a differentiable function of each element by itself")
        parts = [values.real, values.imag] if values.is_complex() else [values]
        slopes = [torch.autograd.grad(part.sum(), z, retain_graph=True)[0] for part in parts]
    size = float((weights * values.detach().abs().square()).sum())
    slope = sum(float((weights * s.abs().square()).sum()) for s in slopes) / (2 if is_complex else 1)
    if not (0 < size < math.inf and math.isfinite(slope)):
        raise UsageError(f"activation: expected 0 < E f^2 and both finite, found E f^2 = {size:g}, E f'^2 = {slope:g}")
    return size, slope


def _grid(sigma: float, is_complex: bool) -> tuple[Tensor, Tensor]:
    """Return midpoints within 10 deviations of each real part, and normal weights, which sum to 1."""
    count = math.isqrt(POINTS) if is_complex else POINTS
    unit = (torch.arange(count, dtype=torch.float64) + 0.5) * (2 * REACH / count) - REACH
    weights = torch.exp(-unit.square() / 2)
    weights = weights / weights.sum()
    if not is_complex:
        return unit * sigma, weights
    part = unit * (sigma / math.sqrt(2))
    real, imaginary = torch.meshgrid(part, part, indexing="ij")
    return torch.complex(real, imaginary).flatten(), torch.outer(weights, weights).flatten()


def balance(f: Activation, sigma: float, is_complex: bool = False) -> float:
    """Return C = sigma^2 E f'^2 / E f^2; raises as `moments` does.

    In layers of equal width that keep preactivations at sigma it is the factor of the gradient's variance per layer,
    going back: with C = 1 both variances stay.
    """
    size, slope = moments(f, sigma, is_complex)
    return sigma**2 * slope / size


def gain(f: Activation, sigma: float, is_complex: bool = False) -> float:
    """Return sqrt(sigma^2 / E f^2): weights of deviation gain / sqrt(fan_in) keep preactivations at sigma.

    It is 1 for the identity (Glorot and Bengio 2010) and sqrt(2) for ReLU (He et al. 2015). Raises as `moments` does.
    """
    return sigma / math.sqrt(moments(f, sigma, is_complex)[0])


def balanced_sigma(f: Activation, scale: float = 1.0, is_complex: bool = False) -> float:
    """Return the smallest sigma_p where C crosses 1 between 0.001 and 10 over scale, or 1 / scale if it never does.

    `scale` is the factor of z inside f: a frequency, an inverse width. The authors take the C nearest to 1, but as
    sigma_p goes to 0 an f with f(0) = 0 becomes linear and its C goes to 1, so that sine, FINER and tanh would become
    linear networks; what is looked for here is a change of sign. Sine and tanh have C > 1 everywhere, identity and
    ReLU C = 1: they get 1 / scale. Raises as `moments` does, and for a scale that is not positive.
    """
    _check_positive("scale", scale)
    count = round(PER_DECADE * math.log10(CEILING / FLOOR))
    low, was_above = 0.0, None
    for step in range(count + 1):
        sigma = FLOOR * (CEILING / FLOOR) ** (step / count) / scale
        excess = balance(f, sigma, is_complex) - 1
        if abs(excess) < BALANCED:
            continue
        if was_above is not None and was_above != (excess > 0):
            return _crossing(f, low, sigma, was_above, is_complex)
        low, was_above = sigma, excess > 0
    return 1 / scale


def _crossing(f: Activation, low: float, high: float, was_above: bool, is_complex: bool) -> float:
    """Return where C = 1 between low and high, by bisection, to 1e-6 of itself."""
    while high - low > 1e-6 * high:
        middle = (low + high) / 2
        if (balance(f, middle, is_complex) > 1) == was_above:
            low = middle
        else:
            high = middle
    return (low + high) / 2


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


def _check_positive(name: str, value: float) -> None:
    if not 0 < value < math.inf:
        raise UsageError(f"{name}: expected a positive number, found {value:g}")
