"""What an activation does to a normal variable: E|f|^2, E|f'|^2, and the gain that keeps variances; by quadrature.

An activation is any elementwise function of a tensor. Preactivations z are N(0, sigma^2); complex ones (WIRE's, after
its first layer) are circular with E|z|^2 = sigma^2, half of it in each part. For f = u + jv of a real z, |f'|^2 is
u'^2 + v'^2; of a complex z, where f need not be analytic, it is half the squared Frobenius norm of the Jacobian of
(u, v), |df/dz|^2 + |df/dz*|^2. In both, E|f'|^2 is the factor that f gives a gradient's mean square per real number.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from weightgen.errors import UsageError
from weightgen.inits.activations import Activation
from weightgen.inits.tensors import check_positive

POINTS = 40_000  # even, so that none is at 0, where sin(z)/z has no value and ReLU has a kink
REACH = 10.0  # deviations on each side
FLOOR, CEILING = 0.001, 10.0  # of scale * sigma_p: the authors' grid
PER_DECADE = 8
BALANCED = 1e-3  # |C - 1| below it has no sign: rounding decides that of identity and ReLU, where C = 1 everywhere


def expectation(f: Activation, sigma: float = 1.0) -> float:
    """Return E f(z), z ~ N(0, sigma^2), of an f that is finite within 10 sigma.

    Raises UsageError for a sigma that is not positive.

    >>> round(expectation(torch.square, sigma=2.0), 6)
    4.0
    """
    check_positive("sigma", sigma)
    z, weights = _grid(sigma, False)
    return float((weights * f(z)).sum())


def moments(f: Activation, sigma: float, is_complex: bool = False) -> tuple[float, float]:
    """Return E|f(z)|^2 and E|f'(z)|^2, the derivative being what autograd gives: a detached factor is a constant.

    Raises UsageError for a sigma that is not positive, and for an f that is not elementwise, has no derivative, is
    zero or is not finite on the grid.
    """
    check_positive("sigma", sigma)
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
    check_positive("scale", scale)
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
