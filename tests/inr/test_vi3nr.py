"""VI3NR: closed forms and the published table, the search that must not end in a linear network, and real variances."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from weightgen.errors import UsageError
from weightgen.inr.config import field_config
from weightgen.inr.field import activate
from weightgen.inr.vi3nr import balance, balanced_sigma, gain, moments

W = 30.0


def sine(z: Tensor) -> Tensor:
    return torch.sin(W * z)


def gaussian(z: Tensor) -> Tensor:
    return torch.exp(-z.square() / (2 * 0.05**2))


def sinc(z: Tensor) -> Tensor:
    return torch.sin(z) / z


def wavelet(z: Tensor) -> Tensor:
    return torch.cos(z) * torch.exp(-z.square())


def finer(z: Tensor) -> Tensor:
    return torch.sin(W * (z.detach().abs() + 1) * z)


def finer_true(z: Tensor) -> Tensor:
    return torch.sin(W * (z.abs() + 1) * z)


def identity(z: Tensor) -> Tensor:
    return z


@pytest.mark.parametrize("phase", [0.1, 0.5, 0.7, 1.0, 3.0, 100.0])
def test_sine_has_its_closed_forms(phase: float) -> None:
    s = phase**2
    size, slope = moments(sine, phase / W)
    assert size == pytest.approx((1 - math.exp(-2 * s)) / 2, rel=1e-9)
    assert slope == pytest.approx(W**2 * (1 + math.exp(-2 * s)) / 2, rel=1e-9)  # Gauss-Hermite fails at 100
    assert balance(sine, phase / W) == pytest.approx(s / math.tanh(s), rel=1e-9)


@pytest.mark.parametrize(("phase", "c", "squared"), [(0.5, 1.021, 1.271), (0.7, 1.079, 1.569), (1.0, 1.313, 2.313)])
def test_sine_has_the_values_of_the_table(phase: float, c: float, squared: float) -> None:
    assert balance(sine, phase / W) == pytest.approx(c, abs=5e-4)
    assert (W * gain(sine, phase / W)) ** 2 == pytest.approx(squared, abs=5e-4)


@pytest.mark.parametrize("ratio", [0.3, 1.0, 1.5, 6.0])
def test_gaussians_have_their_closed_forms(ratio: float) -> None:
    r = ratio**2
    size, slope = moments(gaussian, 0.05 * ratio)
    assert size == pytest.approx((1 + 2 * r) ** -0.5, rel=1e-9)
    assert slope == pytest.approx(r / 0.05**2 * (1 + 2 * r) ** -1.5, rel=1e-9)
    assert balance(gaussian, 0.05 * ratio) == pytest.approx(r**2 / (1 + 2 * r), rel=1e-9)


def test_gaussians_are_balanced_where_the_paper_says() -> None:
    found = balanced_sigma(gaussian)  # 0.0777 is on the authors' grid, whatever the scale
    assert found == pytest.approx(0.05 * math.sqrt(1 + math.sqrt(2)), rel=1e-5)
    assert gain(gaussian, found) == pytest.approx(0.05 * (1 + math.sqrt(2)), rel=1e-5)
    assert gain(gaussian, found) ** 2 == pytest.approx(0.01457, abs=5e-6)
    config = field_config("gauss", {})
    of_wire = activate(config, 1.0)
    assert balanced_sigma(of_wire, 30.0) == pytest.approx(0.0366, abs=5e-5)
    assert gain(of_wire, balanced_sigma(of_wire, 30.0)) == pytest.approx(0.0569, abs=5e-5)


@pytest.mark.parametrize(
    ("f", "sigma", "squared"), [(torch.sigmoid, 6.755, 103.0), (sinc, 2.223, 10.69), (wavelet, 0.8705, 1.804)]
)
def test_crossings_of_the_table(f: Callable[[Tensor], Tensor], sigma: float, squared: float) -> None:
    found = balanced_sigma(f)
    assert found == pytest.approx(sigma, rel=3e-4)
    assert balance(f, found) == pytest.approx(1, abs=1e-5)
    assert gain(f, found) ** 2 == pytest.approx(squared, rel=5e-4)


def test_tanh_has_the_values_of_the_table() -> None:
    assert balance(torch.tanh, 1.0) == pytest.approx(1.178, abs=5e-4)
    assert gain(torch.tanh, 1.0) ** 2 == pytest.approx(2.536, abs=5e-4)


def test_finer_depends_on_the_derivative_that_training_uses() -> None:
    assert balance(finer, 1 / W) == pytest.approx(1.351, abs=1e-3)
    assert balance(finer_true, 1 / W) == pytest.approx(1.40, abs=5e-3)
    assert balance(finer, 0.3 / W) == pytest.approx(0.988, abs=1e-3)
    assert balance(finer, 0.001) == pytest.approx(0.998, abs=1e-3)
    own = activate(field_config("finer", {}), W)
    assert W * balanced_sigma(own, W) == pytest.approx(0.5, abs=0.01)
    assert W * balanced_sigma(finer_true, W) == pytest.approx(1)


def test_no_search_ends_in_a_linear_network() -> None:
    assert abs(balance(torch.tanh, 0.001) - 1) < 1e-6  # where C is nearest to 1
    assert balanced_sigma(sine, W) == pytest.approx(1 / W)
    assert balanced_sigma(torch.tanh) == 1
    assert balanced_sigma(torch.nn.functional.gelu) == 1


@pytest.mark.parametrize("sigma", [0.05, 1.0, 7.0])
def test_identity_gives_glorot_and_relu_gives_he(sigma: float) -> None:
    assert gain(identity, sigma) == pytest.approx(1, rel=1e-9)
    assert gain(torch.relu, sigma) == pytest.approx(math.sqrt(2), rel=1e-9)
    assert balance(torch.relu, sigma) == pytest.approx(1, rel=1e-9)
    assert balanced_sigma(torch.relu) == balanced_sigma(identity) == 1


def test_complex_gabors_have_their_closed_forms() -> None:
    w, s, sigma = 20.0, 10.0, 0.05
    f = activate(field_config("wire", {}), w)
    wide = 1 + 4 * s**2 * sigma**2
    size, slope = moments(f, sigma)
    assert size == pytest.approx(wide**-0.5, rel=1e-9)
    assert slope == pytest.approx((w**2 + 4 * s**4 * sigma**2 / wide) * wide**-0.5, rel=1e-9)
    # |f|^2 = exp(-2 w y - 2 s^2 (x^2 + y^2)): both parts stay normal, of variance v, with y about -2 w v.
    wide = 1 + 2 * s**2 * sigma**2
    v = sigma**2 / 2 / wide
    size, slope = moments(f, sigma, is_complex=True)
    assert size == pytest.approx(math.exp(w**2 * sigma**2 / wide) / wide, rel=1e-9)
    y, yy = -2 * w * v, v + 4 * w**2 * v**2
    assert slope == pytest.approx(size * (w**2 + 2 * w * s**2 * y + 2 * s**4 * (v + yy)), rel=1e-9)


def test_what_is_no_activation_is_refused() -> None:
    for f in (torch.sum, torch.zeros_like, lambda z: 0 * z, lambda z: z / 0, lambda z: torch.exp(z**4)):
        with pytest.raises(UsageError, match="activation: expected"):
            moments(f, 1.0)
    for sigma in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(UsageError, match="sigma: expected a positive number, found"):
            moments(sine, sigma)
    with pytest.raises(UsageError, match="scale: expected a positive number, found 0"):
        balanced_sigma(sine, 0.0)
