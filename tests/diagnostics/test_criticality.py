"""chi by quadrature, the critical point, and chi as it is measured on networks of that width."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from tests.diagnostics.probes import chain, normal, probe_of
from weightgen.diagnostics.criticality import chi, critical_point, criticality, distances, fixed_variance
from weightgen.diagnostics.jacobian import jacobian
from weightgen.errors import UsageError

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize(
    ("q", "sigma_w", "sigma_b", "tolerance"),
    # The first sigma_b belongs to sigma_w = 1.0247 taken exactly; from the rounded q it is .00448.
    [(0.0259, 1.0247, 0.004485, 1e-5), (0.5, 1.2992, 0.1950, 1e-4), (1.0, 1.4674, 0.3885, 1e-4)],
)
def test_critical_points_of_tanh(q: float, sigma_w: float, sigma_b: float, tolerance: float) -> None:
    found = critical_point(torch.tanh, q)
    assert found[0] == pytest.approx(sigma_w, abs=1e-4)
    assert found[1] == pytest.approx(sigma_b, abs=tolerance)
    assert chi(torch.tanh, found[0], q) == pytest.approx(1, abs=1e-12)
    assert fixed_variance(torch.tanh, *found) == pytest.approx(q, rel=1e-6)


def test_bias_of_exactly_that_weight() -> None:
    low, high = 0.02, 0.03
    for _ in range(60):
        q = (low + high) / 2
        low, high = (q, high) if critical_point(torch.tanh, q)[0] < 1.0247 else (low, q)
    assert critical_point(torch.tanh, low)[1] == pytest.approx(0.004485, abs=5e-7)


def test_relu_is_critical_at_two_and_no_isometry() -> None:
    assert critical_point(torch.relu, 0.7) == pytest.approx((math.sqrt(2), 0.0), abs=1e-6)
    model = chain([200] * 9, nn.ReLU, math.sqrt(2))
    assert criticality(probe_of(model, normal(8, 200))).numbers["chi"] == pytest.approx(1, abs=0.1)
    assert jacobian(probe_of(chain([32] * 9), normal(2, 32))).numbers["condition"] > 100


@pytest.mark.parametrize(("sigma_w", "sigma_b"), [(0.7, 0.3), (1.4674, 0.3885), (2.5, 0.3)])
def test_measured_chi_is_the_theory(sigma_w: float, sigma_b: float) -> None:
    q = fixed_variance(torch.tanh, sigma_w, sigma_b)
    expected = chi(torch.tanh, sigma_w, q)
    model = chain([600] * 8, nn.Tanh, sigma_w, sigma_b)
    # Inputs for which the first preactivations have the variance at which the others stay.
    x = math.sqrt((q - sigma_b**2) / sigma_w**2) * normal(8, 600)
    found = criticality(probe_of(model, x))
    assert found.numbers["chi"] == pytest.approx(expected, rel=0.05)
    word = "ordered" if expected < 0.9 else "chaotic" if expected > 1.1 else "neither order nor chaos"
    assert found.reading.endswith(word)


def test_distances_are_derivatives() -> None:
    model = chain([5, 6, 4], nn.Tanh)
    probe = probe_of(model, normal(1, 5))
    direction = torch.randn(1, 5, generator=probe.generator(), dtype=torch.float64)
    moved = torch.func.jvp(model.double(), (probe.double().batch["x"],), (direction,))[1]
    expected = float(moved.detach().square().mean() / direction.square().mean())
    assert distances(probe_of(model.float(), normal(1, 5)))["2"] == pytest.approx(expected, rel=1e-4)


def test_refusals() -> None:
    with pytest.raises(UsageError, match=r"q = 1: no critical point, the variance of biases would be -5\.54"):
        critical_point(torch.sigmoid, 1.0)
    with pytest.raises(UsageError, match="slope is 0 everywhere"):
        critical_point(lambda z: 0 * z + 1, 1.0)
    with pytest.raises(UsageError, match="q: expected a positive number"):
        critical_point(torch.tanh, 0.0)
    with pytest.raises(UsageError, match="does not settle above 0"):
        fixed_variance(torch.relu, 2.0, 0.1)
    with pytest.raises(UsageError, match="two linear or convolutional layers"):
        criticality(probe_of(nn.Linear(3, 3), normal(2, 3)))
    with pytest.raises(UsageError, match="not all zero"):
        criticality(probe_of(chain([3, 3, 3]), torch.zeros(2, 3)))
