"""Maxout: its constants, the mean square that stays, and the fan-in that is easily taken wrong."""

from __future__ import annotations

import math

import pytest
import torch

from weightgen.errors import UsageError
from weightgen.inits.maxout import maxout_, maxout_constant


@pytest.mark.parametrize(
    ("pieces", "value", "within"),
    [
        (1, 1.0, 1e-12),
        (2, 1.0, 1e-9),
        (3, 0.783905, 5e-7),
        (4, 0.644609, 5e-7),
        (5, 0.555549, 5e-7),
        (20, 0.265734, 5e-7),
        (3, 1 / (1 + math.sqrt(3) / (2 * math.pi)), 1e-12),
        (4, 1 / (1 + math.sqrt(3) / math.pi), 1e-12),
    ],
)
def test_constants(pieces: int, value: float, within: float) -> None:
    assert maxout_constant(pieces) == pytest.approx(value, abs=within)


def test_constants_are_those_of_draws() -> None:
    largest = torch.randn(200_000, 7, generator=torch.Generator().manual_seed(0)).amax(1)
    assert 1 / float(largest.square().mean()) == pytest.approx(maxout_constant(7), rel=0.01)


@pytest.mark.parametrize("pieces", [2, 3, 5])
def test_mean_squares_stay_and_variances_do_not(pieces: int, one_thread: None) -> None:
    sizes, first_variance, first_mean = torch.zeros(12), 0.0, 0.0
    for seed in range(8):  # single networks wander
        generator = torch.Generator().manual_seed(seed)
        x = torch.randn(32, 200, generator=generator)
        x /= x.square().mean().sqrt()
        for layer in range(12):
            weight = maxout_(torch.empty(pieces * 200, 200), pieces, generator=generator)
            x = (x @ weight.T).reshape(32, 200, pieces).amax(-1)
            sizes[layer] += x.square().mean() / 8
            first_variance += float(x.var()) / 8 if layer == 0 else 0
            first_mean += float(x.mean()) / 8 if layer == 0 else 0
    assert sizes.tolist() == pytest.approx([1.0] * 12, rel=0.15)
    assert first_variance < 0.75
    if pieces == 5:
        assert first_mean / math.sqrt(maxout_constant(5)) == pytest.approx(1.163, rel=0.02)


def test_a_pool_counts_as_more_pieces(one_thread: None) -> None:
    generator = torch.Generator().manual_seed(0)
    weight = maxout_(torch.empty(5 * 120, 100), 5, pool=2, generator=generator)
    assert float(weight.var() * 100) == pytest.approx(maxout_constant(20), rel=0.03)
    x = torch.randn(500, 4, 100, generator=generator)  # the four positions of a window
    pooled = (x @ weight.T).reshape(500, 4, 120, 5).amax((1, 3))
    assert float(pooled.square().mean()) == pytest.approx(1, rel=0.05)


def test_fan_in_is_the_units_and_the_kernel() -> None:
    generator = torch.Generator().manual_seed(0)
    weight = maxout_(torch.empty(5 * 40, 30, 3, 3), 5, generator=generator)
    assert float(weight.var()) == pytest.approx(maxout_constant(5) / (30 * 9), rel=0.03)
    wrong = torch.nn.init.kaiming_normal_(torch.empty(5 * 40, 30, 3, 3), generator=generator)
    assert abs(float(wrong.var()) / (maxout_constant(5) / 270) - 1) > 1


def test_what_cannot_be_is_refused() -> None:
    weight = torch.ones(10, 4)
    for pieces in (0, -1):
        with pytest.raises(UsageError, match=f"pieces: expected 1 or more, found {pieces}"):
            maxout_(weight, pieces)
    with pytest.raises(UsageError, match="pieces: expected a divisor of the 10 outputs, found 4"):
        maxout_(weight, 4)
    with pytest.raises(UsageError, match="pool: expected 1 or more, found 0"):
        maxout_(weight, 5, pool=0)
    assert bool((weight == 1).all())
