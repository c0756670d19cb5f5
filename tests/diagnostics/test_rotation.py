"""Layer rotation: nothing at the start, the angle afterwards, and which tensors have none."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from torch import nn

from tests.diagnostics.probes import chain, normal, probe_of
from weightgen.diagnostics.rotation import rotation, turned
from weightgen.errors import UsageError
from weightgen.training.layca import turn_


def test_nothing_has_turned_at_the_start() -> None:
    one = probe_of(chain([4, 5, 3]), normal(2, 4))
    assert set(rotation(one, one).numbers.values()) == {0.0}


@pytest.mark.parametrize("rate", [1e-4, 0.1, 1.0])
def test_it_is_the_angle(rate: float) -> None:
    start = torch.randn(4, 5, dtype=torch.float64)
    weight = start.clone()
    turn_(weight, torch.randn(4, 5, dtype=torch.float64), rate)
    assert turned(weight, start) == pytest.approx(1 - math.cos(math.atan(rate)), rel=1e-6)
    assert turned(7 * weight, start) == pytest.approx(1 - math.cos(math.atan(rate)), rel=1e-6)
    assert turned(-start, start) == pytest.approx(2)


def test_biases_and_norms_are_left_out() -> None:
    model: Any = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 2))
    other = copy.deepcopy(model)
    with torch.no_grad():
        other[0].bias.neg_()
        other[1].weight.neg_()
        other[2].weight.copy_(torch.tensor([[0.0, 0, 0, 1]] * 2))
        model[2].weight.copy_(torch.tensor([[1.0, 0, 0, 0]] * 2))
    found = rotation(probe_of(model, normal(2, 3)), probe_of(other, normal(2, 3)))
    assert {row.layer: row.values["rotation"] for row in found.rows} == pytest.approx({"0": 0, "2": 1})


def test_zeros_have_no_direction() -> None:
    model = chain([4, 5, 3])
    nn.init.zeros_(model[2].weight)
    one = probe_of(model, normal(2, 4))
    assert [row.layer for row in rotation(one, one).rows] == ["0"]
    nn.init.zeros_(model[0].weight)
    with pytest.raises(UsageError, match="layers that are not zero"):
        rotation(one, one)
