"""Looks-linear weights: the singular values of whole networks, for each way to end them."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from weightgen.errors import UsageError
from weightgen.inits.looks_linear import Ends, Kind, looks_linear_

N = 8


def spectrum(weights: list[Tensor]) -> list[float]:
    """Return the singular values of the input-output Jacobian, with ReLU between layers and none at the end."""

    def network(x: Tensor) -> Tensor:
        for weight in weights[:-1]:
            x = torch.relu(weight @ x)
        return weights[-1] @ x

    generator = torch.Generator().manual_seed(5)
    x = torch.randn(weights[0].shape[1], generator=generator, dtype=torch.float64)
    values: list[float] = torch.linalg.svdvals(torch.func.jacrev(network)(x)).tolist()
    return values


def layers(depth: int, first: Ends, last: Ends, kind: Kind = "orthogonal") -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    ends: list[Ends] = [first, *["none"] * (depth - 2), last]  # type: ignore[list-item]
    sizes = {"first": (2 * N, N), "none": (2 * N, 2 * N), "last": (N, 2 * N)}
    return [looks_linear_(torch.empty(sizes[e], dtype=torch.float64), e, kind, generator) for e in ends]


@pytest.mark.parametrize("depth", [4, 52])
def test_singular_values_at_any_depth(depth: int) -> None:
    assert spectrum(layers(depth, "first", "last")) == pytest.approx([1.0] * N, abs=1e-9)
    assert spectrum(layers(depth, "none", "none")) == pytest.approx([2.0] * N + [0.0] * N, abs=1e-9)
    assert spectrum(layers(depth, "none", "last")) == pytest.approx([math.sqrt(2)] * N, abs=1e-9)


def test_other_weights_are_far_from_isometric() -> None:
    sizes = [(64, 16), *[(64, 64)] * 8, (16, 64)]
    generator = torch.Generator().manual_seed(0)
    empty = [torch.empty(s, dtype=torch.float64) for s in sizes]
    orthogonal = spectrum([torch.nn.init.orthogonal_(w, math.sqrt(2), generator) for w in empty])
    he = spectrum([torch.nn.init.kaiming_normal_(w, generator=generator) for w in empty])
    assert orthogonal[0] / orthogonal[-1] > 50
    assert he[0] / he[-1] > 500


def test_the_network_is_the_product_of_its_matrices() -> None:
    weights = layers(6, "first", "last")
    product = torch.eye(N, dtype=torch.float64)
    for weight in weights:
        product = weight[:N, :N] @ product
    x = torch.randn(N, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    y = x
    for i, weight in enumerate(weights):
        y = weight @ (torch.relu(y) if i else y)
    assert torch.allclose(y, product @ x, atol=1e-12)


def test_widths_may_change_between_layers() -> None:
    generator = torch.Generator().manual_seed(0)
    shapes: list[tuple[int, int, Ends]] = [(20, 5, "first"), (40, 20, "none"), (64, 40, "none"), (40, 64, "last")]
    weights = [looks_linear_(torch.empty(a, b, dtype=torch.float64), e, generator=generator) for a, b, e in shapes]
    assert spectrum(weights) == pytest.approx([1.0] * 5, abs=1e-9)


@pytest.mark.parametrize(
    ("ends", "shape", "variance"),
    [("none", (600, 400), 2 / 400), ("first", (600, 400), 1 / 400), ("last", (300, 800), 2 / 800)],
)
def test_gaussian_blocks_have_the_variance_of_the_formula(ends: Ends, shape: tuple[int, int], variance: float) -> None:
    weight = looks_linear_(torch.empty(shape), ends, "gaussian", torch.Generator().manual_seed(0))
    assert float(weight.var()) == pytest.approx(variance, rel=0.05)
    assert float(weight.pow(4).mean() / weight.square().mean() ** 2) == pytest.approx(3, rel=0.1)


def test_gaussian_networks_keep_the_scale_and_are_not_isometric() -> None:
    values = spectrum(layers(4, "first", "last", "gaussian"))
    assert 0.2 < sum(v * v for v in values) / N < 5
    assert values[0] / values[-1] > 5


def test_convolutions_are_isometric_at_every_position() -> None:
    generator = torch.Generator().manual_seed(0)
    weights = [
        looks_linear_(torch.empty(6, 3, 3, 3), "first", generator=generator),
        looks_linear_(torch.empty(6, 6, 5, 5), generator=generator),
        looks_linear_(torch.empty(3, 6, 1, 1), "last", generator=generator),
    ]
    x = torch.randn(2, 3, 7, 7, generator=generator)
    y = x
    for i, weight in enumerate(weights):
        y = torch.nn.functional.conv2d(torch.relu(y) if i else y, weight, padding=weight.shape[-1] // 2)
    assert torch.allclose(y.norm(dim=1), x.norm(dim=1), atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "ends", "text"),
    [
        ((5, 4), "none", "mirrors out and in, which must be even, found 5 x 4"),
        ((4, 5), "none", "found 4 x 5"),
        ((5, 4), "first", "mirrors out, which must be even, found 5 x 4"),
        ((4, 5), "last", "mirrors in, which must be even, found 4 x 5"),
    ],
)
def test_odd_widths_cannot_be_mirrored(shape: tuple[int, int], ends: Ends, text: str) -> None:
    with pytest.raises(UsageError, match=text):
        looks_linear_(torch.empty(shape), ends)


def test_odd_ends_and_other_words() -> None:
    assert looks_linear_(torch.empty(4, 5), "first").shape == (4, 5)
    assert looks_linear_(torch.empty(5, 4), "last").shape == (5, 4)
    with pytest.raises(UsageError, match=r"ends: expected none or first or last, found 'lst'\. Did you mean 'last'\?"):
        looks_linear_(torch.empty(4, 4), "lst")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="kind: expected orthogonal or gaussian, found 'uniform'"):
        looks_linear_(torch.empty(4, 4), kind="uniform")  # type: ignore[arg-type]
