"""The Poincare identity: points that come out as they went in, and the factor with which they do not."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from weightgen.errors import UsageError
from weightgen.inits.poincare import poincare_identity_, poincare_linear


def points(radius: float, count: int = 32, size: int = 6, dtype: torch.dtype = torch.float32) -> Tensor:
    directions = torch.randn(count, size, generator=torch.Generator().manual_seed(0), dtype=dtype)
    scaled: Tensor = directions / directions.norm(dim=1, keepdim=True) * radius
    return scaled


@pytest.mark.parametrize("radius", [0.0, 0.1, 0.5, 0.9])
def test_points_come_out_as_they_went_in(radius: float) -> None:
    x = points(radius)
    y = poincare_linear(x, poincare_identity_(torch.empty(6, 6)))
    assert float((y - x).abs().max()) < 1e-5
    exact = points(radius, dtype=torch.float64)
    found = poincare_linear(exact, poincare_identity_(torch.empty(6, 6, dtype=torch.float64)))
    assert float((found - exact).abs().max()) < 1e-14


@pytest.mark.parametrize("c", [0.1, 1.0, 4.0])
def test_of_any_curvature(c: float) -> None:
    x = points(0.9 / math.sqrt(c))
    y = poincare_linear(x, poincare_identity_(torch.empty(9, 6)), c)
    assert torch.allclose(y[:, :6], x, atol=1e-5)
    assert not y[:, 6:].any()


def test_the_published_factor_is_no_identity() -> None:
    """Their lambda is 2 (1 - c |x|^2)."""
    for radius, wrong in ((0.1, 0.02), (0.5, 1 / 3), (0.9, 0.82)):
        x = torch.zeros(6, dtype=torch.float64)
        x[0] = radius
        w = 2 * (1 - x.square().sum()) * x  # sinh(asinh(lambda x)), with |z| = 1/2
        y = w / (1 + torch.sqrt(1 + w.square().sum()))
        own = poincare_linear(x, poincare_identity_(torch.empty(6, 6, dtype=torch.float64)))
        assert float((own - x).norm()) < 1e-12
        assert float((y - x).norm()) / radius == pytest.approx(wrong, abs=0.01)


def test_layers_agree_with_their_formula_one_number_at_a_time() -> None:
    generator = torch.Generator().manual_seed(3)
    weight = torch.randn(4, 6, generator=generator, dtype=torch.float64)
    x, c = points(0.6, 1, dtype=torch.float64)[0], 1.5
    lam = 2 / (1 - c * float(x @ x))
    w = []
    for z in weight:
        n = float(z.norm())
        v = 2 * n / math.sqrt(c) * math.asinh(math.sqrt(c) * lam * float(x @ z) / n)
        w.append(math.sinh(math.sqrt(c) * v) / math.sqrt(c))
    size = sum(u * u for u in w)
    wanted = [u / (1 + math.sqrt(1 + c * size)) for u in w]
    assert poincare_linear(x, weight, c).tolist() == pytest.approx(wanted, rel=1e-12)
    assert float(poincare_linear(x, weight, c).norm()) < 1 / math.sqrt(c)


def test_kernels_are_identities_of_the_unfolded_patch() -> None:
    weight = poincare_identity_(torch.empty(7, 3, 3, 3))
    assert torch.equal(weight.flatten(1), torch.eye(7, 27) / 2)
    image = torch.randn(1, 3, 5, 5, generator=torch.Generator().manual_seed(0)) / 40
    patches = torch.nn.functional.unfold(image, 3, padding=1)[0].T
    y = poincare_linear(patches, weight)
    assert torch.allclose(y, patches[:, :7], rtol=0.1, atol=1e-4)  # to first order
    assert not torch.allclose(y[:, :3], image[0].flatten(1).T, rtol=0.1, atol=1e-4)  # not the middle pixel


def test_what_has_no_identity_or_is_outside_is_refused() -> None:
    with pytest.raises(UsageError, match="3 x 6 has no identity: expected a square matrix, or one with out above in"):
        poincare_identity_(torch.empty(3, 6))
    weight = poincare_identity_(torch.empty(2, 2))
    with pytest.raises(UsageError, match=r"x: expected points of norm below 0.5 \(c = 4\), found 0.6"):
        poincare_linear(torch.tensor([[0.1, 0.1], [0.6, 0.0]]), weight, c=4.0)
    with pytest.raises(UsageError, match="found nan"):
        poincare_linear(torch.tensor([math.nan, 0.0]), weight)
    with pytest.raises(UsageError, match="c: expected a positive number, found -1"):
        poincare_linear(torch.zeros(2), weight, c=-1.0)
