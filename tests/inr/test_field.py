"""Coordinate networks: shapes, the authors' initial values, encodings, stacked weights."""

from __future__ import annotations

import math

import pytest
import torch

from weightgen.errors import UsageError
from weightgen.inr.config import FIELDS, FieldConfig, field_config
from weightgen.inr.field import Field, activate, encode, encoded
from weightgen.inr.initialise import harmonics
from weightgen.inr.manual_gradients import activated
from weightgen.inr.signals.grids import Coordinates

SMALL = {"hidden": 8, "hidden_layers": 2}
POINTS = torch.rand(5, 2, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize("name", FIELDS)
def test_stacked_weights_give_what_each_field_gives_alone(name: str) -> None:
    config = field_config(name, SMALL)
    fields = [Field(config, seed) for seed in range(3)]
    if config.encoding.kind == "fourier":  # stacked tasks share the frequencies, which are part of the start
        for field in fields[1:]:
            field.encoding.load_state_dict(fields[0].encoding.state_dict())
    tensors = {n: torch.stack([dict(f.named_parameters())[n] for f in fields]) for n, _ in fields[0].named_parameters()}
    coordinates = torch.rand(3, 5, 2) * 2 - 1
    together = fields[0](coordinates, tensors)
    assert together.shape == (3, 5, 3)
    for i, field in enumerate(fields):
        assert torch.allclose(together[i], field(coordinates[i]), atol=1e-6)


def test_siren_starts_as_its_authors_draw_it() -> None:
    field = Field(field_config("siren", {"hidden": 400, "hidden_layers": 2}))
    weights = dict(field.named_parameters())
    bounds = {"net.0.weight": 1 / 2, "net.1.weight": math.sqrt(6 / 400) / 30, "net.2.weight": math.sqrt(6 / 400) / 30}
    bounds |= {"net.0.bias": 1 / math.sqrt(2), "net.1.bias": 1 / 20, "net.2.bias": 1 / 20}
    for name, bound in bounds.items():
        assert float(weights[name].detach().abs().max()) <= bound, name
        assert float(weights[name].detach().std()) == pytest.approx(bound / math.sqrt(3), rel=0.5), name
    weights = {n: w.detach() for n, w in weights.items()}
    hidden = torch.sin(30 * (torch.rand(2000, 2) @ weights["net.0.weight"].T + weights["net.0.bias"]))
    assert float((30 * hidden @ weights["net.1.weight"].T).std()) == pytest.approx(1, abs=0.15)  # their section 3.2


def test_harmonics_are_the_lowest_waves_of_their_period() -> None:
    field = Field(field_config("harmonic", {"inputs": 1, "outputs": 1, "hidden": 7, "period": 3.0}))
    hidden = torch.sin(30 * (POINTS[:, :1] @ field.net[0].weight.T + field.net[0].bias)).detach()
    phases = 2 * math.pi / 3 * POINTS[:, :1] * torch.tensor([1.0, 2.0, 3.0, 4.0])
    expected = torch.stack([torch.sin(phases), torch.cos(phases)], -1).flatten(1)[:, :7]
    assert torch.allclose(hidden, expected, atol=1e-5)


@pytest.mark.parametrize("inputs", [1, 2, 3])
def test_harmonics_differ_and_none_is_higher_than_one_left_out(inputs: int) -> None:
    waves = harmonics(2 * 200, inputs)
    assert waves.shape == (200, inputs)
    both = {tuple(w) for w in torch.cat([waves, -waves]).tolist()}
    assert len(both) == 400  # k and -k are one wave, and none is constant
    highest = float(waves.square().sum(1).max())
    axes = [torch.arange(-210.0, 211.0) if inputs == 1 else torch.arange(-20.0, 21.0)] * inputs
    all_waves = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).view(-1, inputs)
    lower = {tuple(w) for w in all_waves[all_waves.square().sum(1) < highest].tolist()}
    assert lower - both == {(0.0,) * inputs}


def test_harmonics_of_the_signals_own_period_are_orthogonal() -> None:
    """Over all cells of a grid that spans the period, so that one step of descent finds their coefficients."""
    field = Field(field_config("harmonic", {"hidden": 60, "period": 2.0, "outputs": 1})).double()
    points = Coordinates().of((16, 16)).double()
    hidden = torch.sin(30 * (points @ field.net[0].weight.T + field.net[0].bias)).detach()
    assert torch.allclose(hidden.T @ hidden, torch.eye(60, dtype=torch.float64) * 128, atol=1e-4)


def test_each_family_computes_what_its_formula_says() -> None:
    point = torch.tensor([[0.3, -0.7]])
    for name, formula in {
        "siren": lambda z: torch.sin(30 * z),
        "finer": lambda z: torch.sin(30 * (z.abs() + 1) * z),
        "gauss": lambda z: torch.exp(-((30 * z) ** 2)),
        "wire": lambda z: torch.exp(20j * z - (10 * z) ** 2),
    }.items():
        field = Field(field_config(name, {"hidden": 8, "hidden_layers": 1, "offset": 0.25}))
        w = {n: p.detach() for n, p in field.named_parameters()}
        hidden = formula(point @ w["net.0.weight"].T + w["net.0.bias"])
        last, bias = w["net.1.weight"], w["net.1.bias"]
        if name == "wire":
            last, bias = torch.view_as_complex(last), torch.view_as_complex(bias)
            assert last.shape == (3, int(8 / math.sqrt(2)))
        found = hidden @ last.T + bias
        expected = (found.real if found.is_complex() else found) + 0.25
        assert torch.allclose(field(point), expected, atol=1e-6), name


@pytest.mark.parametrize("name", ["gauss", "wire"])
def test_faded_gaussians_are_no_subnormal_numbers(name: str) -> None:
    config = field_config(name, {"hidden": 8, "hidden_layers": 2})
    z = torch.linspace(-1, 1, 20001)  # exp(-(30 z)^2) passes 1e-38 at z = 0.31
    values = activate(config, 20)(torch.complex(z, torch.zeros_like(z)) if name == "wire" else z).abs()
    assert float(values.min()) > 1e-30
    assert float(values.max()) == 1
    exact = torch.exp(-(config.spread * z.double()).square())
    assert torch.allclose(values.double(), exact, rtol=1e-4, atol=1e-26)
    if name == "gauss":
        written_out = activated(config, 20, z.clone(), bends=False)[0]
        assert torch.allclose(written_out, values, rtol=1e-4, atol=0)


def test_encodings() -> None:
    config = field_config("positional", {"inputs": 3, **SMALL})
    points = torch.rand(4, 3)
    features = encode(config.encoding, points)
    assert features.shape == (4, 120) == (4, encoded(config))
    frequency = 2 ** (8 / 19)  # the second of 20 between 1 and 256; learnit multiplies neither by pi nor by 2 pi
    assert torch.allclose(features[:, 3:6], torch.sin(points * frequency), atol=1e-5)
    assert torch.allclose(features[:, 63:66], torch.cos(points * frequency), atol=1e-5)
    fourier = Field(field_config("fourier", SMALL), seed=3)
    frequencies = fourier.encoding.B
    assert frequencies.shape == (256, 2)
    assert float(frequencies.std()) == pytest.approx(10, rel=0.1)
    phases = 2 * math.pi * points[:, :2] @ frequencies.T
    expected = torch.cat([torch.sin(phases), torch.cos(phases)], -1)
    assert torch.allclose(encode(fourier.config.encoding, points[:, :2], frequencies), expected, atol=1e-4)
    assert not torch.equal(frequencies, Field(field_config("fourier", SMALL), seed=4).encoding.B)


def test_finer_holds_its_factor_constant_in_derivatives() -> None:
    field = Field(field_config("finer", {"inputs": 1, "outputs": 1, "hidden": 1, "hidden_layers": 1}))
    x = torch.tensor([[0.2]], requires_grad=True)
    w = {n: p.detach() for n, p in field.named_parameters()}
    (found,) = torch.autograd.grad(field(x), x)
    z = float((x @ w["net.0.weight"].T + w["net.0.bias"]).detach())
    slope = 30 * (abs(z) + 1) * math.cos(30 * (abs(z) + 1) * z)
    assert float(found) == pytest.approx(slope * float(w["net.0.weight"]) * float(w["net.1.weight"]), rel=1e-4)


@pytest.mark.parametrize(
    ("name", "arguments", "text"),
    [
        ("sirn", {}, "Did you mean 'siren'?"),
        ("siren", {"hiden": 3}, "Did you mean 'hidden'?"),
        ("siren", {"hidden": 0}, "hidden: "),
        ("siren", {"encoding.size": 4}, "--field-args: encoding: an encoding has a size"),
        ("fourier", {"encoding.scale": -1}, "encoding.scale"),
        ("gauss", {"period": 2.2}, "--field-args: a period is of"),
        ("siren", {"period": 2.2, "hidden_layers": 0}, "--field-args: a period is of"),
        (
            "siren",
            {"period": 2.2, "encoding.kind": "fourier", "encoding.size": 4},
            "--field-args: a period is of",
        ),
        ("harmonic", {"period": 0}, "period: "),
    ],
)
def test_fields_that_do_not_exist_are_refused(name: str, arguments: dict[str, object], text: str) -> None:
    with pytest.raises(UsageError, match=None) as found:
        field_config(name, arguments)
    assert text in str(found.value)


def test_seed_decides() -> None:
    config = FieldConfig(hidden=4, hidden_layers=1)
    one, same, other = (Field(config, seed) for seed in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), same.parameters(), strict=True))
    assert not torch.equal(one.net[0].weight, other.net[0].weight)
