"""Kumar's rule: its published values, activations that have no slope at 0, and the port that confuses 3.6."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from weightgen.errors import UsageError
from weightgen.inits.gain import gain
from weightgen.inits.kumar import kumar_, kumar_std


@pytest.mark.parametrize(
    ("activation", "value"),
    [
        ("tanh", 1),
        ("sigmoid", 12.8),
        ("softplus", 2.70188),
        ("gelu", 4),
        ("silu", 4),
        ("sin", 1),
        ("relu", 2),
        ("softsign", 1),
        ("elu", 1),
        ("identity", 1),
    ],
)
@pytest.mark.parametrize("fan_in", [1, 100, 4096])
def test_variances_are_those_of_the_formula(activation: str, value: float, fan_in: int) -> None:
    assert fan_in * kumar_std(activation, fan_in) ** 2 == pytest.approx(value, rel=3e-6)


def test_functions_are_as_good_as_names() -> None:
    for relu in (torch.nn.ReLU(), lambda z: z.clamp(min=0), torch.nn.functional.relu):
        assert kumar_std(relu, 50) == math.sqrt(2 / 50)
    assert kumar_std(torch.nn.Sigmoid(), 50) == kumar_std("sigmoid", 50)
    assert kumar_std(lambda z: 3 * torch.sin(10 * z) + 2, 1) == pytest.approx(1 / (30 * math.sqrt(5)), rel=1e-6)
    assert kumar_std(lambda z: -torch.tanh(z), 1) == pytest.approx(1)


def test_sigmoid_has_3_6_as_a_deviation() -> None:
    own = kumar_std("sigmoid", 400)
    assert own * math.sqrt(400) == pytest.approx(3.5777, abs=5e-5)
    port = math.sqrt(3.6 / 400)  # 3.6 as the scale of a variance
    assert port / own == pytest.approx(0.53, abs=5e-3)


def test_it_is_a_linearisation() -> None:
    assert kumar_std("gelu", 1) ** 2 == pytest.approx(4)
    assert gain(torch.nn.functional.gelu, 1.0) ** 2 == pytest.approx(2.3517, abs=5e-4)


@pytest.mark.parametrize("shape", [(300, 200), (100, 20, 3, 3), (256, 1, 9, 9)])
def test_weights_have_that_deviation(shape: tuple[int, ...]) -> None:
    weight = kumar_(torch.empty(shape), "sigmoid", torch.Generator().manual_seed(0))
    assert float(weight.std()) == pytest.approx(kumar_std("sigmoid", math.prod(shape[1:])), rel=0.03)
    assert abs(float(weight.mean() / weight.std())) < 0.02
    assert float(weight.pow(4).mean() / weight.square().mean() ** 2) == pytest.approx(3, rel=0.1)


@pytest.mark.parametrize(
    ("activation", "text"),
    [
        (
            "leaky_relu",
            r"not differentiable at 0 \(slopes 0.01 and 1\): Kumar's rule needs a slope there. preserving_ ",
        ),
        ("selu", "not differentiable at 0"),
        ("relu6", "not differentiable at 0"),
        (torch.sign, "not differentiable at 0"),
        (lambda z: z.abs().sqrt(), "not differentiable at 0"),
        (lambda z: z.abs().sqrt() * z.sign(), "not differentiable at 0"),
        (lambda z: torch.where(z == 0, z, z * z.abs().log()), "not differentiable at 0"),
        ("gauss", "its slope at 0 is 0"),
        (torch.cos, "its slope at 0 is 0"),
        (lambda z: torch.relu(z) ** 2, "its slope at 0 is 0"),
        (lambda z: torch.sin(z) / z, "has no value at 0"),
        (torch.sum, "expected a function of each element by itself"),
    ],
)
def test_activations_without_a_slope_are_refused(activation: str | Callable[[Tensor], Tensor], text: str) -> None:
    weight = torch.ones(4, 4)
    with pytest.raises(UsageError, match=text):
        kumar_(weight, activation)
    assert bool((weight == 1).all())


def test_layers_without_inputs_are_refused() -> None:
    for fan_in in (0, -3):
        with pytest.raises(UsageError, match=f"fan_in: expected 1 or more, found {fan_in}"):
            kumar_std("tanh", fan_in)
    with pytest.raises(UsageError, match=r"Did you mean 'tanh'\?"):
        kumar_std("tanhh", 4)
