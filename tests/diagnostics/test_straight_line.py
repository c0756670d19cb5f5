"""The straight line: exact ends, rises, and batch norms between two networks."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

from tests.diagnostics.probes import chain, labels, normal, probe_of
from weightgen.diagnostics.comparison import losses_between
from weightgen.diagnostics.measure import Probe
from weightgen.diagnostics.probing import settle
from weightgen.diagnostics.straight_line import SHARES, rises, straight_line
from weightgen.errors import UsageError


def trained(model: nn.Module, x: torch.Tensor, y: torch.Tensor, steps: int = 30) -> nn.Module:
    other = copy.deepcopy(model).train()
    optimizer = torch.optim.SGD(other.parameters(), lr=0.5)
    for _ in range(steps):
        optimizer.zero_grad()
        loss: Any = nn.functional.cross_entropy(other(x), y)
        loss.backward()
        optimizer.step()
    return other


def with_norm() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))


def probes(model: nn.Module) -> tuple[Probe, Probe]:
    x, y = normal(40, 6), labels(40, 3)
    return settle(probe_of(model, x, y)), settle(probe_of(trained(model, x, y), x, y))


@pytest.mark.parametrize("make", [lambda: chain([6, 8, 3]), with_norm])
def test_the_ends_are_exact(make: object) -> None:
    before, after = probes(make())  # type: ignore[operator]
    found = straight_line(before, after)
    curve = found.series[0].values
    assert found.series[0].places == SHARES
    assert SHARES[5] == 0
    assert SHARES[25] == 1
    assert curve[5] == found.numbers["loss_at_start"] == float(before.mean_loss().detach())
    assert curve[25] == found.numbers["loss_at_end"] == float(after.mean_loss().detach())
    assert found.numbers["loss_at_end"] < found.numbers["loss_at_start"]
    assert found.numbers["rises"] == 0
    assert found.reading.endswith("the loss falls all the way")


def test_statistics_are_found_anew_between_the_ends() -> None:
    before, after = probes(with_norm())
    middle = losses_between(before, after.parameters(), [0.5])[0]
    half = copy.deepcopy(before.model)
    with torch.no_grad():
        for p, a in zip(half.parameters(), after.parameters().values(), strict=True):
            p.copy_(torch.lerp(p, a, 0.5))
    stale = float(probe_of(half, before.batch["x"], before.batch["labels"]).mean_loss().detach())
    fresh = float(settle(probe_of(half, before.batch["x"], before.batch["labels"])).mean_loss().detach())
    assert middle == fresh
    assert abs(stale - fresh) > 1e-3


def test_rises_are_counted_once_each() -> None:
    assert rises([3, 2, 1]) == 0
    assert rises([3, 1, 2, 3]) == 1
    assert rises([1, 2, 1, 2, 2, 3]) == 3
    assert rises([1, 1, 1]) == 0


def test_a_hill_is_seen() -> None:
    """Two equal networks in other orders: the mean of both is worse than either."""
    model = chain([6, 8, 3])
    x, y = normal(40, 6), labels(40, 3)
    one = trained(model, x, y, 200)
    other = copy.deepcopy(one)
    with torch.no_grad():
        order = torch.arange(8).roll(3)
        for tensor in (other[0].weight, other[0].bias):  # type: ignore[index]
            tensor.copy_(tensor[order])
        other[2].weight.copy_(other[2].weight[:, order])  # type: ignore[index]
    found = straight_line(probe_of(one, x, y), probe_of(other, x, y))
    assert found.numbers["rises"] >= 1
    assert found.numbers["height_over_ends"] > 0.1
    assert "rises 1 time on the way" in found.reading or "times on the way" in found.reading


def test_the_models_are_left_alone_and_need_a_loss() -> None:
    before, after = probes(with_norm())
    states = [{n: t.clone() for n, t in p.model.state_dict().items()} for p in (before, after)]
    straight_line(before, after)
    for probe, state in zip((before, after), states, strict=True):
        assert all(torch.equal(state[n], t) for n, t in probe.model.state_dict().items())
    without = probe_of(chain([6, 8, 3]), normal(4, 6))
    with pytest.raises(UsageError, match="needs a loss"):
        straight_line(without, without)
