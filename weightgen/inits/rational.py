"""Rational activations fitted to any activation (Kolmogorov-Arnold Transformer), and the weights that go with them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from weightgen.errors import UsageError
from weightgen.inits.activations import Activation, activation_of
from weightgen.inits.preserving import preserving_

NUMERATOR, DENOMINATOR = 6, 4  # coefficients: powers 0 to 5, and 1 to 4
REACH, POINTS = 3.0, 1001
TOLERANCE = 0.03  # largest error on [-3, 3]; ReLU, with its kink, has 0.029


class Rational(torch.nn.Module):
    """F(x) = (a_0 + a_1 x + ... + a_5 x^5) / (1 + |b_1| |x| + ... + |b_4| |x|^4), elementwise, a and b being trained.

    This is the denominator of the paper and of its CUDA kernel; it is never below 1. The published code has two others,
    1 + |b_1 x + ...| and 1 + |b_1| x + ...: coefficients fitted in one are wrong in another. All channels share one
    function here; KAT has a denominator per group of channels, all equal at the start.

    Yang and Wang, "Kolmogorov-Arnold Transformer" (ICLR 2025, arXiv 2409.10594), group-rational KAN;
    code of Adamdad/kat and Adamdad/rational_kat_cu.

    >>> Rational([0, 1, 0, 0, 0, 0], [1, 0, 0, 0])(torch.tensor([-1.0, 3.0]))  # x / (1 + |x|)
    tensor([-0.5000,  0.7500], grad_fn=<DivBackward0>)
    """

    def __init__(self, numerator: Sequence[float], denominator: Sequence[float]) -> None:
        """Take a_0 to a_5 and b_1 to b_4; raises UsageError for other numbers of them."""
        super().__init__()
        if len(numerator) != NUMERATOR or len(denominator) != DENOMINATOR:
            raise UsageError(
                f"Rational: expected {NUMERATOR} coefficients above and {DENOMINATOR} below, "
                f"found {len(numerator)} and {len(denominator)}"
            )
        self.numerator = torch.nn.Parameter(torch.tensor(numerator, dtype=torch.get_default_dtype()))
        self.denominator = torch.nn.Parameter(torch.tensor(denominator, dtype=torch.get_default_dtype()))

    def forward(self, x: Tensor) -> Tensor:
        """Return F of each element."""
        above = self.numerator[-1]
        for a in self.numerator[:-1].flip(0):
            above = above * x + a
        size, below = x.abs(), self.denominator[-1].abs()
        for b in self.denominator[:-1].flip(0):
            below = below * size + b.abs()
        return above / (1 + below * size)


def fit_rational(activation: str | Activation) -> Rational:
    """Return the rational of least squared error from an activation on [-3, 3], in `Rational`'s own form.

    A name or any elementwise function. scipy's trust-region least squares over 1,001 points, from the least-squares
    polynomial; nothing is random. Errors: GELU .003, SiLU 1e-6, ReLU .029 (its kink).
    Raises UsageError for an unknown name, and where the largest error is above 0.03.

    >>> x = torch.linspace(-3, 3, 7)
    >>> bool(torch.allclose(fit_rational("silu")(x), torch.nn.functional.silu(x), atol=1e-5))
    True
    """
    from scipy.optimize import least_squares

    x = np.linspace(-REACH, REACH, POINTS)
    with torch.no_grad():
        values = activation_of(activation)(torch.from_numpy(x))
    if values.shape != x.shape:
        raise UsageError("activation: expected a function of each element by itself")
    if not bool(torch.isfinite(values).all()):
        raise UsageError("activation: has values on [-3, 3] that are not finite")
    wanted = values.numpy()
    powers = x[:, None] ** np.arange(NUMERATOR)
    sizes = np.abs(x[:, None]) ** np.arange(1, DENOMINATOR + 1)

    def errors(coefficients: np.ndarray) -> np.ndarray:
        found = powers @ coefficients[:NUMERATOR] / (1 + sizes @ coefficients[NUMERATOR:])
        return np.asarray(found - wanted)

    polynomial = np.linalg.lstsq(powers, wanted, rcond=None)[0]
    lowest = [-np.inf] * NUMERATOR + [0.0] * DENOMINATOR
    best = least_squares(
        errors, np.r_[polynomial, [0.1] * DENOMINATOR], bounds=(lowest, np.inf), xtol=1e-12, ftol=1e-12, gtol=1e-12
    )
    largest = float(np.abs(errors(best.x)).max())
    if not largest <= TOLERANCE:
        raise UsageError(
            f"activation: no rational found within {TOLERANCE} of it on [-3, 3], the best is {largest:.3g} off"
        )
    return Rational(best.x[:NUMERATOR].tolist(), best.x[NUMERATOR:].tolist())


def rational_(weight: Tensor, rational: Rational, generator: torch.Generator | None = None) -> Tensor:
    """Return the weight of the layer after a rational F, drawn in place from N(0, gain^2 / fan_in); biases are 0.

    gain^2 = 1 / E F(z)^2 by quadrature on the rational itself: 2.352 fitted to GELU, 2.811 to SiLU. The published
    models overwrite this draw with one of deviation .02, and are not variance preserving.
    Yang and Wang, "Kolmogorov-Arnold Transformer" (ICLR 2025), section on variance-preserving initialisation.
    Raises UsageError as `check_weight` does.

    >>> weight = rational_(torch.empty(300, 200), fit_rational("gelu"), torch.Generator().manual_seed(0))
    >>> round(float(weight.std()) * 200**0.5, 1)
    1.5
    """
    return preserving_(weight, rational, generator=generator)
