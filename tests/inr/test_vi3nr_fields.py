"""VI3NR on whole fields: variances through their layers."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from weightgen.errors import UsageError
from weightgen.inr.config import FIELDS, field_config
from weightgen.inr.field import Field, activate, encode
from weightgen.inr.layer import Layer
from weightgen.inr.vi3nr import balance, balanced_sigma, moments, vi3nr_


def squares(field: Field, seed: int, points: int = 64) -> tuple[Tensor, Tensor]:
    """Return the mean squares of each layer's preactivations and of their gradients, of a random loss."""
    generator = torch.Generator().manual_seed(seed)
    config = field.config
    coordinates = torch.rand(points, config.inputs, generator=generator) * 2 - 1
    values = encode(config.encoding, coordinates, getattr(field.encoding, "B", None))
    found = []
    for i, layer in enumerate(field.net):
        assert isinstance(layer, Layer)
        weight, bias = layer.weight, layer.bias
        if layer.is_complex:
            weight, bias = torch.view_as_complex(weight), torch.view_as_complex(bias)
        z = values.to(weight.dtype) @ weight.T + bias
        z.retain_grad()
        found.append(z)
        values = activate(config, config.first_frequency if i == 0 else config.frequency)(z)
    out = found[-1].real if found[-1].is_complex() else found[-1]
    (out * torch.randn(out.shape, generator=generator)).sum().backward()
    means = [(float(z.detach().abs().square().mean()), float(z.grad.abs().square().mean())) for z in found]
    forward, backward = torch.tensor(means, dtype=torch.float64).T
    return forward, backward


DEPTH = 8


def averages(name: str, vi3nr: bool) -> tuple[Tensor, Tensor, float]:
    """Return C and the hidden layers' mean squares over seeds, over sigma_p^2 and over the last layer's gradient."""
    config = field_config(name, {"hidden": 640, "hidden_layers": DEPTH, "outputs": 64, "inputs": 8})
    is_complex = config.activation == "wire"
    f = activate(config, config.frequency)
    scale = {"gauss": config.spread, "relu": 1.0}.get(config.activation, config.frequency)
    sigma = balanced_sigma(f, scale, is_complex)
    forward, backward = torch.zeros(2, DEPTH, dtype=torch.float64)
    for seed in range(3):
        field = Field(config, seed)
        if vi3nr:
            vi3nr_(field, torch.Generator().manual_seed(100 + seed))
        z, g = squares(field, seed)
        forward += z[:DEPTH] / sigma**2 / 3
        backward += g[:DEPTH] / g[DEPTH - 1] / 3
    return forward, backward, balance(f, sigma, is_complex)


@pytest.mark.parametrize("name", ["siren", "finer", "gauss", "wire", "fourier"])
def test_variances_stay_through_a_deep_field(name: str) -> None:
    forward, backward, c = averages(name, vi3nr=True)
    first = 1 if name == "wire" else 0  # its first preactivations are real, with a sigma_p of their own
    assert forward[first:].tolist() == pytest.approx([1.0] * (DEPTH - first), rel=0.15)
    assert float(forward[first:].mean()) == pytest.approx(1, rel=0.08)
    assert backward[first:].tolist() == pytest.approx([c ** (DEPTH - 1 - i) for i in range(first, DEPTH)], rel=0.15)
    assert c == pytest.approx(1.313 if name == "siren" else 1, abs=1e-3)


def test_variances_do_not_stay_as_families_are_drawn() -> None:
    for name in ("gauss", "fourier"):
        forward, backward, _ = averages(name, vi3nr=False)
        assert not 0.5 < float(forward[-1]) < 2, name
        assert not 0.1 < float(backward[0]) < 10, name


@pytest.mark.parametrize("name", FIELDS)
def test_weights_have_the_deviations_of_the_formula(name: str) -> None:
    field = Field(field_config(name, {"hidden": 300, "hidden_layers": 2, "first_frequency": 90.0}))
    config = field.config
    vi3nr_(field, torch.Generator().manual_seed(1), sigma=0.04, low=0.0, high=2.0)
    square = 4 / 3 if config.encoding.kind == "none" else 1 / 2  # E x^2 of U[0, 2]; of sines and cosines
    for i, layer in enumerate(field.net):
        assert isinstance(layer, Layer)
        found = layer.weight.detach().square().mean() * (2 if layer.is_complex else 1)
        assert float(found.sqrt()) == pytest.approx(0.04 / math.sqrt(layer.fan_in * square), rel=0.1), i
        assert not layer.bias.any()
        square = moments(activate(config, 90.0 if i == 0 else config.frequency), 0.04, layer.is_complex)[0]


def test_each_layer_has_the_deviation_of_its_own_frequency() -> None:
    field = Field(field_config("siren", {"inputs": 8, "hidden": 500, "hidden_layers": 3, "first_frequency": 3000.0}))
    vi3nr_(field, torch.Generator().manual_seed(1))
    forward, _ = squares(field, seed=1)
    phases = forward[:3].sqrt() * torch.tensor([3000.0, 30.0, 30.0])
    assert phases.tolist() == pytest.approx([1, 1, 1], rel=0.05)


def test_the_generator_decides_and_features_stay() -> None:
    config = field_config("fourier", {"hidden": 8, "hidden_layers": 1})
    fields = [Field(config, seed=5) for _ in range(3)]
    for field, seed in zip(fields, (1, 1, 2), strict=True):
        vi3nr_(field, torch.Generator().manual_seed(seed))
    one, same, other = ([p.detach() for p in f.parameters()] for f in fields)
    assert all(torch.equal(a, b) for a, b in zip(one, same, strict=True))
    assert not torch.equal(one[0], other[0])
    assert torch.equal(fields[0].encoding.B, Field(config, seed=5).encoding.B)


def test_what_no_field_can_have_is_refused_before_it_is_touched() -> None:
    field = Field(field_config("siren", {"hidden": 8, "hidden_layers": 1}))
    before = [p.detach().clone() for p in field.parameters()]
    with pytest.raises(UsageError, match="sigma: expected a positive number, found -1"):
        vi3nr_(field, torch.Generator(), sigma=-1.0)
    with pytest.raises(UsageError, match="coordinates: expected low < high, found 1 and 1"):
        vi3nr_(field, torch.Generator(), low=1.0)
    assert all(torch.equal(a, b) for a, b in zip(before, field.parameters(), strict=True))
