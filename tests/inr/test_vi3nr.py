"""VI3NR: closed forms and the published table, the search that must not end in a linear network, and real variances."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from weightgen.errors import UsageError
from weightgen.inr.config import FIELDS, field_config
from weightgen.inr.field import Field, activate, encode
from weightgen.inr.layer import Layer
from weightgen.inr.vi3nr import balance, balanced_sigma, gain, moments, vi3nr_

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
