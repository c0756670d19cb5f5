"""SNIP and GraSP on losses whose gradient and Hessian are known."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from tests.diagnostics.probes import chain, labels, normal, probe_of
from weightgen.diagnostics.measure import Probe
from weightgen.diagnostics.saliency import grasp, grasp_scores, snip, snip_scores
from weightgen.errors import UsageError

pytestmark = pytest.mark.usefixtures("one_thread")
CURVATURE = torch.tensor([[2.0, 0.5, 0.0], [0.5, 1.0, -0.3], [0.0, -0.3, 3.0]])


def quadratic(values: list[float]) -> Probe:
    """A probe whose outputs are its three weights w, and whose loss is w' A w / 2."""
    model = nn.Linear(3, 1, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([values]))

    def loss(outputs: Tensor, batch: object) -> Tensor:
        return 0.5 * outputs[:, 0] @ CURVATURE @ outputs[:, 0]

    return probe_of(model, torch.eye(3), loss=loss)


def test_snip_of_a_quadratic() -> None:
    w = torch.tensor([1.0, -2.0, 0.5])
    expected = (CURVATURE @ w * w).abs()
    found = snip_scores(quadratic(w.tolist()))["weight"][0]
    assert torch.allclose(found, expected / expected.sum())
    assert float(found.sum()) == pytest.approx(1)


def test_grasp_of_a_quadratic() -> None:
    """g = A w and H = A: w * (A A w), by sign and by size; another published code has the opposite sign."""
    w = torch.tensor([1.0, -2.0, 0.5])
    expected = w * (CURVATURE @ CURVATURE @ w)
    assert torch.allclose(grasp_scores(quadratic(w.tolist()), temperature=1)["weight"][0], expected)
    hotter = grasp_scores(quadratic(w.tolist()))["weight"][0]
    assert torch.allclose(hotter * 200.0**4, expected, rtol=1e-4)  # outputs / T: g and H are divided by T^2 each


def test_removing_what_grasp_keeps_lowers_the_gradient() -> None:
    """To first order |g|^2 changes by -2 w * (H g): the highest are kept."""
    torch.manual_seed(0)
    probe = probe_of(chain([4, 6, 3], nn.Tanh), normal(20, 4), labels(20, 3)).double()
    scores = grasp_scores(probe, temperature=1)
    weights = probe.weights()

    def flow(tensors: dict[str, Tensor]) -> float:
        leaves = {n: t.clone().requires_grad_() for n, t in {**weights, **tensors}.items()}
        slopes = torch.autograd.grad(probe.mean_loss(leaves), list(leaves.values()))
        return sum(float(s.square().sum()) for s in slopes)

    step, whole = 1e-6, flow({})
    for name, place in (("0.weight", (0, 0)), ("0.weight", (5, 3)), ("2.weight", (1, 2))):
        smaller = weights[name].clone()
        smaller[place] *= 1 - step
        slope = (flow({name: smaller}) - whole) / step
        assert slope == pytest.approx(-2 * float(scores[name][place]), rel=1e-3)


def test_measurements() -> None:
    model = chain([4, 6, 3], nn.Tanh)
    probe = probe_of(model, normal(20, 4), labels(20, 3))
    found = snip(probe)
    assert sum(r.values["share"] for r in found.rows) == pytest.approx(1)
    assert found.numbers["largest_layer_share"] == max(r.values["share"] for r in found.rows)
    slopes = torch.autograd.grad(probe.mean_loss(), [model[0].weight, model[2].weight])
    expected = sum(float((s * w).abs().sum().detach()) for s, w in zip(slopes, probe.weights().values(), strict=True))
    assert found.numbers["sensitivity"] == pytest.approx(expected, rel=1e-5)
    gradient = grasp(probe)
    assert gradient.numbers["score"] == pytest.approx(sum(r.values["score"] for r in gradient.rows))
    assert 0 < gradient.numbers["share_below_zero"] < 1


def test_refusals() -> None:
    for measure in (snip, grasp):
        with pytest.raises(UsageError, match="needs a loss"):
            measure(probe_of(chain([3, 3]), normal(2, 3)))
        with pytest.raises(UsageError, match="needs linear or convolutional layers"):
            measure(probe_of(nn.ReLU(), normal(2, 3), labels(2, 3)))
    dead = chain([3, 3, 2])
    for parameter in dead.parameters():
        nn.init.zeros_(parameter)
    with pytest.raises(UsageError, match="no weight has a gradient"):
        snip(probe_of(dead, normal(2, 3), labels(2, 2)))
