"""VI3NR's gain for any activation: the gains, the slope of what is left to chance, and thirty layers."""

from __future__ import annotations

import math

import pytest
import torch

from weightgen.errors import UsageError
from weightgen.inits.activations import activation_of
from weightgen.inits.gain import balance, balanced_sigma, expectation, gain, moments
from weightgen.inits.preserving import preserving_, preserving_first_, stability_slope

GAINS = {
    "relu": (1.414214, 1.0),
    "tanh": (1.592537, 0.461),
    "sigmoid": (1.846229, 0.106),
    "gelu": (1.533530, 1.144),
    "silu": (1.676532, 1.173),
    "elu": (1.245198, 0.891),
    "selu": (1.000000, 0.783),
    "softplus": (1.041867, None),
    "sin": (1.520867, 0.313),
    "gauss": (1.316074, -0.333),
    "leaky_relu": (1.414143, None),
}


@pytest.mark.parametrize("name", GAINS)
def test_gains_are_those_of_the_table(name: str) -> None:
    wanted, slope = GAINS[name]
    assert gain(activation_of(name), 1.0) == pytest.approx(wanted, abs=1e-6)
    if slope is not None:
        assert stability_slope(name) == pytest.approx(slope, abs=6e-4)


@pytest.mark.parametrize("name", GAINS)
@pytest.mark.parametrize("sigma", [0.3, 1.0, 2.0])
def test_slopes_are_derivatives_of_the_variance(name: str, sigma: float) -> None:
    f, h = activation_of(name), 1e-3
    above, below = (moments(f, sigma * math.exp(sign * h))[0] for sign in (1, -1))
    assert stability_slope(name, sigma) == pytest.approx(math.log(above / below) / (4 * h), abs=1e-5)


def test_gains_of_torch_are_others() -> None:
    for name, torch_name in (("tanh", "tanh"), ("sigmoid", "sigmoid"), ("selu", "selu")):
        theirs = torch.nn.init.calculate_gain(torch_name)  # type: ignore[arg-type]
        assert abs(theirs / gain(activation_of(name), 1.0) - 1) > 0.04


def test_gradients_stay_too_where_the_theory_says() -> None:
    gauss = activation_of("gauss")
    assert balanced_sigma(gauss) == pytest.approx(1.553774, abs=2e-6)
    assert math.sqrt(1 + math.sqrt(2)) == pytest.approx(1.553774, abs=1e-6)
    assert all(balance(torch.relu, sigma) == pytest.approx(1) for sigma in (0.1, 1.0, 5.0))
    assert all(balance(f, 1.0) > 1.1 for f in (torch.tanh, torch.sin))
    assert all(balance(f, 0.01) == pytest.approx(1, abs=1e-3) for f in (torch.tanh, torch.sin))


@pytest.mark.parametrize("shape", [(400, 300), (64, 128, 3, 3), (512, 1, 9, 9)])
@pytest.mark.parametrize("sigma", [0.5, 1.0])
def test_weights_have_the_deviation_of_the_formula(shape: tuple[int, ...], sigma: float) -> None:
    size = expectation(lambda z: torch.tanh(z).square(), sigma)
    wanted = sigma / math.sqrt(math.prod(shape[1:]) * size)
    normal = preserving_(torch.empty(shape), "tanh", sigma, torch.Generator().manual_seed(0))
    uniform = preserving_(torch.empty(shape), "tanh", sigma, torch.Generator().manual_seed(0), distribution="uniform")
    assert float(normal.std()) == pytest.approx(wanted, rel=0.02)
    assert float(uniform.std()) == pytest.approx(wanted, rel=0.02)
    assert float(uniform.abs().max()) == pytest.approx(math.sqrt(3) * wanted, rel=1e-3)
    assert float(uniform.abs().max()) <= math.sqrt(3) * wanted * (1 + 1e-6)
    assert float(normal.abs().max()) > 3 * wanted


def root_mean_squares(name: str, depth: int, factor: float = 1.0) -> torch.Tensor:
    """Return the deviations of preactivations of each layer, 256 wide, over eight draws of the weights."""
    total = torch.zeros(depth)
    for seed in range(8):
        generator = torch.Generator().manual_seed(seed)
        z = torch.randn(32, 256, generator=generator)
        for layer in range(depth):
            weight = preserving_(torch.empty(256, 256), name, generator=generator) * factor
            z = activation_of(name)(z) @ weight.T
            total[layer] += z.square().mean() / 8
    return total.sqrt()


@pytest.mark.parametrize("name", ["relu", "tanh", "elu", "selu", "sin", "gauss", "sigmoid"])
def test_thirty_layers_keep_their_preactivations(name: str, one_thread: None) -> None:
    found = root_mean_squares(name, 30)
    assert float(found.max()) < 1.35
    assert float(found.min()) > 1 / 1.35


@pytest.mark.parametrize("name", ["gelu", "silu"])
def test_those_that_amplify_chance_keep_eight(name: str, one_thread: None) -> None:
    found = root_mean_squares(name, 8)
    assert float(found.max()) < 1.35
    assert float(found.min()) > 1 / 1.35


def test_gains_of_torch_do_not_keep_them(one_thread: None) -> None:
    factor = torch.nn.init.calculate_gain("sigmoid") / gain(torch.sigmoid, 1.0)
    assert float(root_mean_squares("sigmoid", 30, factor)[-1]) < 1 / 1.35


def test_xavier_is_right_for_square_layers_only() -> None:
    factor, generator = gain(torch.tanh, 1.0), torch.Generator().manual_seed(0)
    for shape, agrees in (((300, 300), True), ((1200, 300), False)):
        own = preserving_(torch.empty(shape), "tanh", generator=generator).std()
        xavier = torch.nn.init.xavier_normal_(torch.empty(shape), factor, generator).std()
        assert (abs(float(xavier / own) - 1) < 0.02) == agrees


def test_first_layers_scale_by_their_data() -> None:
    generator = torch.Generator().manual_seed(0)
    data = torch.randn(2000, 300, generator=generator) * 0.2 + 0.7
    for distribution in ("normal", "uniform"):
        weight = preserving_first_(
            torch.empty(800, 300),
            0.7,
            0.2,
            1.5,
            generator,
            distribution=distribution,
        )
        assert float((data @ weight.T).square().mean().sqrt()) == pytest.approx(1.5, rel=0.05)


def test_what_has_no_gain_is_refused() -> None:
    weight = torch.ones(3, 3)
    with pytest.raises(UsageError, match="sigma: expected a positive number, found 0"):
        preserving_(weight, "relu", 0.0)
    with pytest.raises(UsageError, match="activation: expected a differentiable function of each element by itself"):
        preserving_(weight, torch.sum)
    with pytest.raises(UsageError, match="activation: expected 0 < E f"):
        preserving_(weight, lambda z: z * 0)
    with pytest.raises(UsageError, match="root mean square of the data: expected a positive number, found 0"):
        preserving_first_(weight, 0.0, 0.0)
    with pytest.raises(UsageError, match="distribution: expected normal or uniform, found 'cauchy'"):
        preserving_(weight, "relu", distribution="cauchy")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="sigma: expected a positive number, found -1"):
        stability_slope("relu", -1.0)
    assert bool((weight == 1).all())
