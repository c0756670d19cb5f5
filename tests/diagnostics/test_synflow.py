"""SynFlow: conserved from layer to layer, independent of data, and blind to buffers."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.diagnostics.probes import chain, normal, probe_of
from weightgen.diagnostics.probing import settle
from weightgen.diagnostics.synflow import synflow, synflow_scores
from weightgen.errors import UsageError

pytestmark = pytest.mark.usefixtures("one_thread")


def test_flow_is_the_product_of_sizes_and_each_layer_holds_all_of_it() -> None:
    model = chain([7, 9, 8, 3], biased=False)
    scores, whole = synflow_scores(probe_of(model, normal(2, 7)))
    sizes = [p.detach().double().abs() for p in model.parameters()]
    assert whole == pytest.approx(float((sizes[2] @ sizes[1] @ sizes[0]).sum()), rel=1e-12)
    for layer in scores.values():
        assert layer.dtype is torch.float64
        assert float(layer.sum()) == pytest.approx(whole, rel=1e-12)
    found = synflow(probe_of(model, normal(2, 7)))
    assert found.reading == "every layer conserves the flow"
    assert found.numbers["log10_flow"] == pytest.approx(math.log10(whole))


def test_convolutions_conserve_too() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3, bias=False), nn.ReLU(), nn.Conv2d(4, 4, 3, groups=2, bias=False), nn.Flatten()
    )
    scores, whole = synflow_scores(probe_of(model, normal(1, 2, 7, 7)))
    assert [float(s.sum()) for s in scores.values()] == pytest.approx([whole] * 2)


def test_biases_left_in_break_it() -> None:
    model = chain([7, 9, 8, 3], sigma_b=1.0)
    scores, whole = synflow_scores(probe_of(model, normal(2, 7)))
    assert float(scores["0.weight"].sum()) < 0.9 * whole
    assert "biases and norms change it" in synflow(probe_of(model, normal(2, 7))).reading


def test_data_and_signs_do_not_count() -> None:
    model = chain([5, 6, 2], biased=False)
    before, _ = synflow_scores(probe_of(model, normal(3, 5)))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(-1)
    after, _ = synflow_scores(probe_of(model, normal(2, 5, seed=5)))
    assert all(torch.equal(before[n], after[n]) for n in before)


def test_statistics_of_norms_are_no_weights() -> None:
    """The published code takes the size of running means as well, and subtracts it."""
    torch.manual_seed(0)
    model: Any = nn.Sequential(
        nn.Linear(5, 6, bias=False), nn.BatchNorm1d(6, affine=False, eps=1e-14), nn.ReLU(), nn.Linear(6, 2, bias=False)
    )
    plain = synflow_scores(probe_of(nn.Sequential(model[0], model[2], model[3]), normal(4, 5)))[1]
    assert synflow_scores(probe_of(model, normal(4, 5)))[1] == pytest.approx(plain, rel=1e-12)
    settled = settle(probe_of(model, 9 * normal(4, 5) + 4))
    assert synflow_scores(settled)[1] == pytest.approx(plain, rel=1e-12)
    assert float(model[1].running_mean.abs().min()) > 0  # the model itself is left as it was


def test_single_precision_would_lose_deep_networks() -> None:
    model = chain([16] * 41, sigma_w=200.0, biased=False)
    found = synflow(probe_of(model, normal(1, 16)))
    assert found.numbers["log10_flow"] > math.log10(torch.finfo(torch.float32).max)
    assert found.numbers["smallest_layer"] == pytest.approx(1)


def test_refusals() -> None:
    class Norm(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.last = nn.LayerNorm(4), nn.Linear(4, 2, bias=False)

        def forward(self, x: Tensor) -> Tensor:
            return self.last(self.norm(x))  # type: ignore[no-any-return]

    with pytest.raises(UsageError, match="no flow: a layer norm subtracts the mean"):
        synflow(probe_of(Norm(), normal(1, 4)))
    headless = chain([4, 3, 2], biased=False)
    nn.init.zeros_(headless[2].weight)
    with pytest.raises(UsageError, match="or a layer of zeros stops it"):
        synflow(probe_of(headless, normal(1, 4)))
    with pytest.raises(UsageError, match="beyond float64"):
        synflow(probe_of(chain([16] * 81, sigma_w=1e6, biased=False), normal(1, 16)))
