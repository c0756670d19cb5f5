"""Singular values of the Jacobian: exact ones of chains whose spectrum is known."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.diagnostics.probes import chain, normal, probe_of
from weightgen.diagnostics.criticality import critical_point
from weightgen.diagnostics.jacobian import input_jacobian, jacobian, singular_values
from weightgen.errors import UsageError

pytestmark = pytest.mark.usefixtures("one_thread")
Q = 0.0259


def critical(orthogonal: bool) -> dict[str, float]:
    sigma_w, sigma_b = critical_point(torch.tanh, Q)
    model = chain([64] * 101, nn.Tanh, sigma_w, sigma_b, orthogonal=orthogonal)
    model.append(nn.Tanh())
    return jacobian(probe_of(model, math.sqrt(Q) * normal(2, 64))).numbers


def test_depth_100_at_the_critical_point() -> None:
    """Orthogonal weights: from 1.77 to .0056 in one draw. Gaussian ones: 19.8 to 1e-17, although chi = 1 as well."""
    found = critical(orthogonal=True)
    assert 1.3 < found["largest"] < 2.2
    assert 0.0040 < found["smallest"] < 0.0075
    assert found["share_near_1"] > 0.85
    gaussian = critical(orthogonal=False)
    assert gaussian["largest"] > 3
    assert gaussian["smallest"] < 1e-14
    assert gaussian["share_near_1"] < 0.1


def test_single_precision_hides_the_small_singular_values() -> None:
    model = chain([64] * 60, nn.Tanh, 1.0247, 0.0045)
    probe = probe_of(model, math.sqrt(Q) * normal(1, 64))
    single = float(torch.linalg.svdvals(input_jacobian(probe))[-1])
    assert single > 1e6 * float(singular_values(probe)[0][-1])


def test_deep_linear_networks_are_products() -> None:
    model = chain([9, 7, 5], nn.Identity, biased=False)
    probe = probe_of(model, normal(3, 9))
    product = model[2].weight.double() @ model[0].weight.double()
    values, sample = singular_values(probe)
    assert torch.allclose(values, torch.linalg.svdvals(product.detach()), rtol=1e-10)
    assert sample == "2 items, 5 of 5 outputs"
    isometric = jacobian(probe_of(chain([16] * 53, nn.Identity, 1.0, orthogonal=True), normal(2, 16)))
    assert isometric.numbers["largest"] == pytest.approx(1, rel=1e-5)
    assert isometric.numbers["condition"] == pytest.approx(1, rel=1e-5)


def test_convolutions_and_what_enters_them() -> None:
    model: Any = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), nn.Flatten())
    nn.init.constant_(model[0].weight, -3.0)
    found = jacobian(probe_of(model, normal(2, 1, 4, 4)))
    assert found.numbers["largest"] == pytest.approx(3)
    assert found.numbers["smallest"] == pytest.approx(3)


def test_many_outputs_are_drawn_by_the_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("weightgen.diagnostics.jacobian.WHOLE", 6)
    monkeypatch.setattr("weightgen.diagnostics.jacobian.DRAWN", 4)
    model, x = chain([9, 7]), normal(1, 9)
    whole = torch.linalg.svdvals(model[0].weight.detach().double())
    part, sample = singular_values(probe_of(model, x))
    assert sample == "1 items, 4 of 7 outputs"
    assert float(part[0]) < float(whole[0])
    assert float(part[3]) > float(whole[6])
    assert torch.equal(part, singular_values(probe_of(model, x))[0])
    others = {tuple(singular_values(probe_of(model, x, seed=seed))[0].tolist()) for seed in range(5)}
    assert len(others) > 1


def test_refusals() -> None:
    class Bare(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x * float("nan")

    with pytest.raises(UsageError, match="the Jacobian is not finite"):
        jacobian(probe_of(Bare(), normal(1, 3)))
    collapsed = chain([4, 4])
    nn.init.zeros_(collapsed[0].weight)
    assert jacobian(probe_of(collapsed, normal(1, 4))).numbers["condition"] == math.inf
