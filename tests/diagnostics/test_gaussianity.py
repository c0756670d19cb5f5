"""Excess kurtosis of outputs over draws of the weights, against the formula for one hidden layer."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from tests.diagnostics.probes import normal, probe_of
from weightgen.diagnostics.gaussianity import excess_kurtosis, gaussianity, kurtosis_of_one_layer
from weightgen.errors import UsageError

DRAWS = 400_000


def outputs(activation: Callable[[Tensor], Tensor], width: int, uniform: bool = False) -> Tensor:
    """Of one hidden layer at one input, over draws of its weights."""
    generator = torch.Generator().manual_seed(0)
    total = torch.zeros(DRAWS)
    for _ in range(width):
        v = torch.rand(DRAWS, generator=generator) * 2 - 1 if uniform else torch.randn(DRAWS, generator=generator)
        total += v * activation(torch.randn(DRAWS, generator=generator))
    return total


def test_relu_has_fifteen_over_width() -> None:
    for width in (1, 20, 300):
        assert kurtosis_of_one_layer(torch.relu, width) == pytest.approx(15 / width, rel=1e-9)
    assert 20 * float(excess_kurtosis(outputs(torch.relu, 20))) == pytest.approx(15, abs=1)


def test_it_falls_as_one_over_width() -> None:
    found = [width * float(excess_kurtosis(outputs(torch.relu, width))) for width in (5, 10, 40)]
    assert found == pytest.approx([15, 15, 15], abs=1.5)


@pytest.mark.parametrize(
    ("activation", "expected"), [(torch.tanh, 1.8819), (lambda x: x, 6.0), (torch.nn.functional.gelu, None)]
)
def test_other_activations_follow_the_formula(activation: Callable[[Tensor], Tensor], expected: float | None) -> None:
    theory = kurtosis_of_one_layer(activation, 1)
    if expected is not None:
        assert theory == pytest.approx(expected, abs=1e-3)
    assert 10 * float(excess_kurtosis(outputs(activation, 10))) == pytest.approx(theory, rel=0.1)


def test_uniform_weights_are_not_gaussian_ones() -> None:
    assert kurtosis_of_one_layer(torch.relu, 10, "uniform") == pytest.approx(0.78)
    found = 10 * float(excess_kurtosis(outputs(torch.relu, 10, uniform=True)))
    assert found == pytest.approx(7.8, abs=0.6)
    assert abs(found - 15) > 5


def test_known_distributions() -> None:
    generator = torch.Generator().manual_seed(0)
    normal = torch.randn(DRAWS, 2, generator=generator) * 3 + 5
    assert excess_kurtosis(normal).tolist() == pytest.approx([0, 0], abs=0.03)
    assert float(excess_kurtosis(torch.tensor([-1.0, 1.0]))) == pytest.approx(-2)


def test_outputs_that_do_not_vary_are_refused() -> None:
    with pytest.raises(UsageError, match="same for all draws of the weights"):
        excess_kurtosis(torch.zeros(5, 2))
    with pytest.raises(UsageError, match="at least two draws of the weights, found 1"):
        excess_kurtosis(torch.zeros(1, 2))


def test_less_than_gaussian_is_not_gaussian_either() -> None:
    """A unit that reads one input has the kurtosis of its weights: -2 where they are +1 and -1."""
    model, x = nn.Linear(4, 2, bias=False), torch.zeros(4, 4)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1.0, -1, 1, -1], [1, -1, 1, -1]]))
    x[:, 0] = normal(4)
    found = gaussianity(probe_of(model, x))
    assert found.numbers["excess_kurtosis"] == pytest.approx(-2, abs=0.05)
    assert found.reading == "over draws of the weights outputs are 2 from Gaussian in kurtosis"
