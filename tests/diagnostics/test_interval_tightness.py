"""Interval bounds: they hold, they are as tight as theory says, and what has no rule is refused."""

from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
from torch import nn

from weightgen.diagnostics.interval_tightness import gaussian_tightness, tightness
from weightgen.diagnostics.intervals import interval_bounds
from weightgen.diagnostics.measure import Probe
from weightgen.errors import UsageError


def tightness_of(model: nn.Module, x: torch.Tensor) -> float:
    return tightness(Probe(model, {"images": x}, lambda m, b: m(b["images"]), None, "images"), outputs=1000)


def linear_network(width: int, layers: int, seed: int = 0) -> nn.Sequential:
    generator = torch.Generator().manual_seed(seed)
    net = nn.Sequential(*[nn.Linear(width, width, bias=False) for _ in range(layers)])
    for weight in net.parameters():
        nn.init.normal_(weight, generator=generator)
    return net


def test_gaussian_networks_are_as_loose_as_theory_says() -> None:
    assert gaussian_tightness(200, 3) == pytest.approx(0.00785, abs=1e-5)
    assert tightness_of(linear_network(200, 3), torch.randn(1, 200)) == pytest.approx(0.00785, rel=0.02)
    found = [tightness_of(linear_network(100, layers), torch.randn(1, 100)) for layers in (1, 2, 4)]
    assert found == pytest.approx([1, gaussian_tightness(100, 2), gaussian_tightness(100, 4)], rel=0.1)


def test_it_is_the_formula_of_the_weights() -> None:
    net = linear_network(7, 3)
    w1, w2, w3 = (p.detach().double() for p in net.parameters())
    expected = (w3 @ w2 @ w1).abs().sum(1) / (w3.abs() @ w2.abs() @ w1.abs()).sum(1)
    assert tightness_of(net, torch.zeros(1, 7)) == pytest.approx(float(expected.mean()), rel=1e-6)


def test_weights_of_one_sign_are_tight() -> None:
    net = linear_network(20, 4)
    with torch.no_grad():
        for weight in net.parameters():
            weight.abs_()
    assert tightness_of(net, torch.randn(3, 20)) == pytest.approx(1, abs=1e-6)


def convolutional() -> nn.Module:
    torch.manual_seed(0)
    layers: list[nn.Module] = [nn.Conv2d(3, 8, 3, padding=1, groups=1), nn.BatchNorm2d(8), nn.ReLU()]
    layers += [nn.Conv2d(8, 8, 3, stride=2, groups=4, bias=False), nn.LeakyReLU(), nn.MaxPool2d(2), nn.Flatten()]
    net = nn.Sequential(*layers, nn.Linear(32, 4), nn.Tanh())
    norm: Any = net[1]
    norm.running_var.uniform_(0.5, 2)
    norm.running_mean.normal_()
    nn.init.normal_(norm.weight)  # of both signs
    return net


class Sum(nn.Module):
    """A residual connection, a pooled head, and a product with a constant."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.first, self.second, self.head = nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 1), nn.Linear(3, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + torch.relu(self.second(self.first(x).relu()))
        found: torch.Tensor = self.head(x.mean((2, 3)).view(x.size(0), -1)) * -0.5
        return found


@pytest.mark.parametrize(
    "make", [convolutional, Sum, lambda: timm.create_model("resnet18", channels=(8, 8, 16, 16), num_classes=3)]
)
def test_bounds_hold_everything_inside(make: Any) -> None:
    model, generator = make().eval(), torch.Generator().manual_seed(2)
    before = {n: t.clone() for n, t in model.state_dict().items()}
    x = torch.randn(2, 3, 10, 10, generator=generator)
    low, high = x - 0.05, x + 0.05
    bounds = interval_bounds(model, low, high)
    inside = [low + (high - low) * torch.rand(x.shape, generator=generator) for _ in range(20)]
    corners = [torch.where(torch.rand(x.shape, generator=generator) < 0.5, low, high) for _ in range(20)]
    with torch.no_grad():
        found = torch.stack([model.double()(y.double()) for y in (*inside, *corners)])
    assert bool((found >= bounds.low - 1e-9).all())
    assert bool((found <= bounds.high + 1e-9).all())
    assert bool((found.amax(0) > found.amin(0)).all())
    assert 0 < tightness_of(model, x) < 1
    assert all(torch.equal(before[n], t.to(before[n].dtype)) for n, t in model.state_dict().items())


def test_a_point_is_its_own_interval() -> None:
    model = Sum().double().eval()
    x = torch.randn(2, 3, 5, 5, dtype=torch.float64)
    bounds = interval_bounds(model, x, x)
    torch.testing.assert_close(bounds.low, model(x).detach())
    torch.testing.assert_close(bounds.high, bounds.low)


def test_the_model_is_left_as_it_was() -> None:
    model = convolutional().train()
    interval_bounds(model, torch.zeros(1, 3, 10, 10), torch.ones(1, 3, 10, 10))
    assert model.training
    assert {p.dtype for p in model.parameters()} == {torch.float32}


def test_what_has_no_rule_is_refused() -> None:
    x = torch.randn(1, 4)
    with pytest.raises(UsageError, match=r"no rule for the layer '1' \(GELU\)"):
        interval_bounds(nn.Sequential(nn.Linear(4, 4), nn.GELU()), x, x)

    class Product(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * x

    with pytest.raises(UsageError, match="no rule for the function mul"):
        interval_bounds(Product(), x, x)

    class Branching(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x if x.sum() > 0 else -x

    with pytest.raises(UsageError, match=r"torch.fx cannot trace Branching"):
        interval_bounds(Branching(), x, x)

    class Difference(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.add(x, x.relu(), alpha=-1)

    with pytest.raises(UsageError, match="no rule for the sum with a negative factor"):
        interval_bounds(Difference(), x - 1, x + 1)
