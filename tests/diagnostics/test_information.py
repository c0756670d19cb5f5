"""Binned mutual information: its bounds, and what other bins and other precisions get wrong."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from weightgen.diagnostics.information import (
    adaptive_bins,
    entropy,
    information_about_classes,
    information_about_inputs,
)
from weightgen.errors import UsageError

N = 256


def normal(rows: int, columns: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_a_constant_layer_knows_nothing() -> None:
    layer = torch.tensor([[0.3, -1.0, 7.0]], dtype=torch.float64).repeat(N, 1)
    assert information_about_inputs(layer) == 0
    assert information_about_classes(layer, torch.arange(N) % 4) == 0


def test_an_injective_layer_knows_everything() -> None:
    assert information_about_inputs(normal(N, 16)) == pytest.approx(math.log2(N))
    assert information_about_inputs(normal(N, 1), bins=N) == pytest.approx(math.log2(N))
    assert information_about_inputs(normal(N, 1), bins=16) == pytest.approx(4)  # one unit knows its bin, and no more


@settings(max_examples=30, deadline=None)
@given(rows=st.integers(1, 40), units=st.integers(1, 4), bins=st.integers(1, 40), seed=st.integers(0, 99))
def test_information_keeps_its_bounds(rows: int, units: int, bins: int, seed: int) -> None:
    layer = normal(rows, units, seed).relu()
    classes = torch.randint(0, 3, (rows,), generator=torch.Generator().manual_seed(seed))
    about_inputs = information_about_inputs(layer, bins)
    about_classes = information_about_classes(layer, classes, bins)
    assert 0 <= about_inputs <= math.log2(rows) + 1e-9
    assert about_inputs <= units * math.log2(bins) + 1e-9
    assert 0 <= about_classes <= min(about_inputs, entropy(classes[:, None])) + 1e-9


def test_bins_hold_equally_many_values() -> None:
    counts = torch.bincount(adaptive_bins(normal(300, 1), 30).flatten())
    assert counts.tolist() == [10] * 30
    assert adaptive_bins(torch.tensor([[3.0], [1.0], [3.0], [2.0]], dtype=torch.float64)).flatten().tolist() == [
        2,
        0,
        2,
        1,
    ]


def test_bins_of_equal_width_lose_what_adaptive_ones_find() -> None:
    """One large value: the other 255 share the first of 30 equal intervals."""
    layer = normal(N, 1).abs()
    layer[0] = 1e6
    equal = (layer / layer.max() * 29).floor().long()
    assert entropy(equal) < 0.1
    assert information_about_inputs(layer) > 4.8


def test_saturated_units_need_double_precision() -> None:
    before = torch.linspace(10, 17, N, dtype=torch.float64)[:, None]
    assert information_about_inputs(before.tanh(), bins=N) == pytest.approx(math.log2(N))
    single = before.float().tanh().double()  # rounded to 1, and taken back too late
    assert information_about_inputs(single, bins=N) == 0
    with pytest.raises(UsageError, match=r"expected float64 values \(N, units\), found torch.float32"):
        information_about_inputs(before.float())


def test_classes_are_known_as_far_as_they_are_told_apart() -> None:
    classes = torch.arange(N) % 4
    told = torch.nn.functional.one_hot(classes).double()
    assert information_about_classes(told, classes) == pytest.approx(2)
    assert information_about_inputs(told) == pytest.approx(2)
    halves = (classes % 2).double()[:, None]
    assert information_about_classes(halves, classes) == pytest.approx(1)
    blind = torch.div(torch.arange(N), 4, rounding_mode="floor").double()[:, None]  # every value once in every class
    assert information_about_classes(blind, classes) == pytest.approx(0, abs=1e-9)


def test_what_cannot_be_binned_is_refused() -> None:
    with pytest.raises(UsageError, match="bins: expected at least 1, found 0"):
        adaptive_bins(normal(3, 1), 0)
    with pytest.raises(UsageError, match=r"one for each of 3 inputs, found \[2\]"):
        information_about_classes(normal(3, 1), torch.zeros(2, dtype=torch.int64))
