"""Rational activations: fits, gains, and coefficients that are right in another denominator only."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from weightgen.errors import UsageError
from weightgen.inits.activations import ACTIVATIONS, activation_of
from weightgen.inits.gain import gain
from weightgen.inits.rational import Rational, fit_rational, rational_

X = torch.linspace(-3, 3, 2001, dtype=torch.float64)

# As stored in kat_rational/init.json of Adamdad/rational_kat_cu.
STORED_GELU = (
    [-0.00153969, 0.51692871, 0.44075827, 0.0972553, -0.00884418, -0.00378675],
    [-0.14171056, -0.06481231, -0.0444695, 0.01283776],
)
STORED_SWISH = (
    [3.05487974e-07, 0.500000785, 0.249997834, 0.0532662827, 0.00580303457, 0.000275196102],
    [-4.11155496e-06, 0.106528993, -1.26900074e-06, 0.000550233126],
)


def error(rational: Rational, name: str) -> float:
    return float((rational(X) - activation_of(name)(X)).detach().abs().max())


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_fits_are_within_the_tolerance(name: str) -> None:
    rational = fit_rational(name)
    assert error(rational, name) < 0.03
    wanted = gain(activation_of(name), 1.0)
    assert gain(rational, 1.0) == pytest.approx(wanted, rel=3e-3)


@pytest.mark.parametrize(("name", "squared", "off"), [("gelu", 2.352, 0.003), ("silu", 2.811, 2e-6)])
def test_gains_are_those_of_the_reference(name: str, squared: float, off: float) -> None:
    rational = fit_rational(name)
    assert error(rational, name) < off
    assert gain(rational, 1.0) ** 2 == pytest.approx(squared, abs=6e-4)


def test_published_coefficients_of_gelu_are_of_another_denominator() -> None:
    stored = Rational(*STORED_GELU)
    assert error(stored, "gelu") == pytest.approx(1.46, abs=0.01)
    assert gain(stored, 1.0) ** 2 == pytest.approx(3.19, abs=0.01)
    powers = torch.stack([X**i for i in range(6)])
    a, b = (torch.tensor(values, dtype=torch.float64) for values in STORED_GELU)
    theirs = (a @ powers) / (1 + (b @ powers[1:5]).abs())
    assert float((theirs - torch.nn.functional.gelu(X)).abs().max()) < 0.0035
    assert error(Rational(*STORED_SWISH), "silu") < 3e-6


def test_values_are_those_of_the_formula() -> None:
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(6, generator=generator).tolist(), torch.randn(4, generator=generator).tolist()
    rational = Rational(a, b)
    for x in (-2.5, -0.3, 0.0, 1.7):
        above = sum(c * x**i for i, c in enumerate(a))
        below = 1 + sum(abs(c) * abs(x) ** i for i, c in enumerate(b, 1))
        assert float(rational(torch.tensor(x)).detach()) == pytest.approx(above / below, rel=1e-5)
    assert rational(torch.zeros(2, 3, 4)).shape == (2, 3, 4)
    out = rational(torch.linspace(-1, 1, 9)).sum()
    slopes = torch.autograd.grad(out, list(rational.parameters()))
    assert all(bool(s.any()) for s in slopes)  # both are trained


def test_fits_are_deterministic() -> None:
    one, other = fit_rational("gelu"), fit_rational(torch.nn.GELU())
    assert all(torch.equal(p, q) for p, q in zip(one.parameters(), other.parameters(), strict=True))


def test_first_rationals_are_identities() -> None:
    assert error(fit_rational("identity"), "identity") < 1e-6


@pytest.mark.parametrize("shape", [(400, 300), (64, 32, 3, 3)])
def test_weights_keep_the_variance(shape: tuple[int, ...]) -> None:
    rational = fit_rational("gelu")
    weight = rational_(torch.empty(shape), rational, torch.Generator().manual_seed(0))
    assert float(weight.var() * math.prod(shape[1:])) == pytest.approx(2.352, rel=0.03)
    shipped = torch.nn.init.trunc_normal_(torch.empty(shape), std=0.02)  # what the published models end with
    assert float(shipped.var() * math.prod(shape[1:])) < 0.2


@pytest.mark.parametrize(
    "activation", [lambda z: torch.sin(30 * z), lambda z: (z > 0.5).double(), lambda z: z.exp().exp()]
)
def test_what_no_rational_follows_is_refused(activation: object) -> None:
    with pytest.raises(UsageError, match=r"activation: no rational found within 0.03 of it on \[-3, 3\], the best is"):
        fit_rational(activation)  # type: ignore[arg-type]


def infinite(z: Tensor) -> Tensor:
    return 1 / z


def test_numbers_that_are_missing_or_infinite_are_refused() -> None:
    with pytest.raises(UsageError, match="expected 6 coefficients above and 4 below, found 2 and 4"):
        Rational([0, 1], [0, 0, 0, 0])
    with pytest.raises(UsageError, match=r"activation: has values on \[-3, 3\] that are not finite"):
        fit_rational(infinite)
    with pytest.raises(UsageError, match="activation: expected a function of each element by itself"):
        fit_rational(torch.sum)
