"""GradSign: the sum over weights of how far the signs of single items' gradients agree."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from tests.diagnostics.probes import chain, labels, normal, probe_of
from weightgen.diagnostics.gradsign import agreement, gradsign
from weightgen.diagnostics.measure import Probe
from weightgen.diagnostics.probing import settle
from weightgen.errors import UsageError

pytestmark = pytest.mark.usefixtures("one_thread")


def score(probe: Probe) -> float:
    return gradsign(probe).numbers["score"]


def test_one_item_counts_gradients_that_are_not_zero() -> None:
    model, x, y = chain([6, 8, 3]), normal(1, 6), labels(1, 3)
    slopes = torch.autograd.grad(nn.functional.cross_entropy(model(x), y), [model[0].weight, model[2].weight])
    expected = sum(int((s != 0).sum()) for s in slopes)
    assert 0 < expected < 6 * 8 + 8 * 3
    assert score(probe_of(model, x, y)) == expected


def test_opposite_gradients_cancel() -> None:
    """Two items of one input and opposite targets, a linear model at 0: their gradients are each other's negative."""

    def loss(outputs: Tensor, batch: dict[str, Tensor]) -> Tensor:
        return (outputs[:, 0] - batch["labels"]).square().mean()

    model = nn.Linear(5, 1)
    nn.init.zeros_(model.weight)
    nn.init.zeros_(model.bias)
    x = normal(1, 5).repeat(2, 1)
    assert score(probe_of(model, x, torch.tensor([1.0, -1.0]), loss)) == 0
    assert score(probe_of(model, x, torch.tensor([1.0, 1.0]), loss)) == 2 * 5


def test_the_sign_of_the_batch_gradient_is_something_else() -> None:
    model, x, y = chain([6, 8, 3]), normal(5, 6), labels(5, 3)
    slopes = torch.autograd.grad(nn.functional.cross_entropy(model(x), y), [model[0].weight, model[2].weight])
    wrong = sum(float(5 * s.sign().abs().sum()) for s in slopes)
    assert score(probe_of(model, x, y)) < 0.7 * wrong
    assert wrong == pytest.approx(5 * (6 * 8 + 8 * 3))  # it says nothing of the items


def test_range_and_rows() -> None:
    probe = probe_of(chain([6, 8, 3]), normal(5, 6), labels(5, 3))
    found = gradsign(probe)
    votes = agreement(probe)
    assert list(votes) == ["0.weight", "2.weight"]  # no biases
    assert all(bool(((v >= 0) & (v <= 5)).all()) for v in votes.values())
    assert found.numbers["score"] == float(sum(v.sum() for v in votes.values()))
    assert found.numbers["share_of_possible"] == pytest.approx(found.numbers["score"] / (5 * (6 * 8 + 8 * 3)))
    assert [r.layer for r in found.rows] == ["0", "2"]


def test_items_do_not_see_each_other_through_batch_norms() -> None:
    """In training mode a norm's statistics of one item would be that item alone: its outputs were its own zero."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
    x, y = 3 * normal(6, 6) + 1, labels(6, 3)
    probe = settle(probe_of(model, x, y))
    alone = {n: v.clone() for n, v in agreement(probe.take(1)).items()}
    assert torch.equal(alone["0.weight"], agreement(next(probe.singles()))["0.weight"])
    assert alone["0.weight"].sum() > 0
    assert torch.equal(alone["0.weight"], agreement(settle(probe_of(model, x, y)).take(1))["0.weight"])


def test_refusals() -> None:
    with pytest.raises(UsageError, match="needs a loss, and the model has no head"):
        gradsign(probe_of(chain([3, 3]), normal(2, 3)))
    with pytest.raises(UsageError, match="needs linear or convolutional layers"):
        gradsign(probe_of(nn.ReLU(), normal(2, 3), labels(2, 3)))
