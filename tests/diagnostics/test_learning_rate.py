"""The maximal initial learning rate: it trains, and 1.1 times as much fails."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.diagnostics.probes import chain, labels, normal, probe_of
from weightgen.diagnostics.learning_rate import RATIO, learning_rate, maximal_rate, trains
from weightgen.diagnostics.probing import settle
from weightgen.diagnostics.sharpness import hessian_product, largest_eigenvalue
from weightgen.errors import UsageError

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("limit", [3e-6, 0.02, 0.99, 1.0, 1.05, 40.0, 8e6])
def test_bisection_ends_at_the_bracket(limit: float) -> None:
    tried: list[float] = []

    def good(rate: float) -> bool:
        tried.append(rate)
        return rate <= limit

    found = maximal_rate(good, first=1.0)
    assert found <= limit < RATIO * found
    assert len(tried) == len(set(tried)) < 20


def test_nothing_trains_or_everything() -> None:
    with pytest.raises(UsageError, match=r"no rate from 1 to 1\.\d+e-08 trains"):
        maximal_rate(lambda rate: False, first=1.0)
    with pytest.raises(UsageError, match=r"every rate from 1 to 8\.\d+e\+07 trains"):
        maximal_rate(lambda rate: True, first=1.0)


def test_bracket_on_a_network() -> None:
    for widths in ([6, 32, 3], [6, 16, 16, 16, 3]):
        probe = probe_of(chain(widths), normal(8, 6), labels(8, 3))
        rate = learning_rate(probe).numbers["rate"]
        assert trains(probe, rate)
        assert not trains(probe, 1.1 * rate)
        assert learning_rate(probe).numbers["rate"] == rate  # the same seed


def test_a_quadratic_fails_at_two_over_the_largest_eigenvalue() -> None:
    x = normal(8, 3)

    def loss(outputs: Tensor, batch: object) -> Tensor:
        return outputs.square().mean()

    probe = probe_of(nn.Linear(3, 1, bias=False), x, loss=loss)
    eigenvalue, _ = largest_eigenvalue(*hessian_product(probe.double()), seed=0)
    rate = learning_rate(probe).numbers["rate"]
    assert 2 / eigenvalue / RATIO**2 < rate < 2 / eigenvalue * RATIO**2


def test_the_model_stays_as_it_was_and_norms_are_as_in_training() -> None:
    torch.manual_seed(0)
    model: Any = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.ReLU(), nn.Linear(8, 3))
    probe = settle(probe_of(model, normal(8, 6), labels(8, 3)))
    before = {n: t.clone() for n, t in model.state_dict().items()}
    found = learning_rate(probe)
    assert found == learning_rate(probe)
    assert all(torch.equal(before[n], t) for n, t in model.state_dict().items())
    assert not any(m.training for m in model.modules())
    # The first layer's scale is moot for a norm that follows the batch: a rate that is huge for it still trains.
    with torch.no_grad():
        model[0].weight.mul_(100)
        model[0].bias.mul_(100)
    moved = learning_rate(settle(probe_of(model, normal(8, 6), labels(8, 3)))).numbers["rate"]
    assert moved > 0.3 * found.numbers["rate"]


def test_refusals() -> None:
    with pytest.raises(UsageError, match="needs a loss"):
        learning_rate(probe_of(chain([3, 3]), normal(2, 3)))
    still = chain([3, 2])
    probe = probe_of(still, normal(4, 3), loss=lambda outputs, batch: (0 * outputs).sum() + 1)
    with pytest.raises(UsageError, match="the gradient's square is 0 and the loss 1: no step can be chosen"):
        learning_rate(probe)
