"""Layers behind which a norm cancels the scale: outputs stay to 1e-5, gradients fall as 1/a."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.diagnostics.probes import labels, normal, probe_of
from weightgen.diagnostics.measure import Measurement, batch_statistics
from weightgen.diagnostics.probing import settle
from weightgen.diagnostics.scale_invariance import scale_changes, scale_invariance
from weightgen.errors import UsageError

pytestmark = pytest.mark.usefixtures("one_thread")


def network(norm: nn.Module, gain: float = 3.0) -> Any:
    torch.manual_seed(0)
    model: Any = nn.Sequential(
        nn.Conv2d(2, 6, 3), norm, nn.ReLU(), nn.Conv2d(6, 5, 3, bias=False), nn.ReLU(), nn.Flatten(), nn.Linear(20, 4)
    )
    with torch.no_grad():
        for layer in (model[0], model[3], model[6]):
            layer.weight.mul_(gain)
    return model


def cancelled(found: Measurement) -> dict[str, float]:
    return {row.layer: row.values["cancelled"] for row in found.rows}


@pytest.mark.parametrize("scale", [0.5, 2.0, 10.0])
def test_batch_norm_cancels_the_layer_before_it(scale: float) -> None:
    model, x = network(nn.BatchNorm2d(6)), normal(4, 2, 6, 6)
    outputs, gradient = scale_changes(settle(probe_of(model, x)), scale)["0"]
    assert outputs < 1e-5
    assert gradient == pytest.approx(1, abs=1e-4)
    with batch_statistics(model):  # by hand: the gradient of the loss is 1/a of what it was
        slopes = []
        for factor in (1.0, scale):
            weight = (factor * model[0].weight.detach()).requires_grad_()
            loss = torch.func.functional_call(model, {"0.weight": weight}, (x,)).square().sum()
            slopes.append(torch.autograd.grad(loss, weight)[0])
    assert torch.allclose(slopes[0] / scale, slopes[1], rtol=1e-3, atol=1e-4 * float(slopes[1].abs().max()))


def test_which_layers() -> None:
    found = scale_invariance(probe_of(network(nn.BatchNorm2d(6)), normal(4, 2, 6, 6)))
    assert cancelled(found) == {"0": 1, "3": 0, "6": 0}
    assert found.numbers == {"layers_cancelled": 1, "layers_without_effect": 0, "layers": 3}
    assert found.reading == "a norm cancels the scale of 1 of 3 layers"
    none = scale_invariance(probe_of(network(nn.Identity()), normal(4, 2, 6, 6)))
    assert cancelled(none) == {"0": 0, "3": 0, "6": 0}
    assert none.reading == "no norm cancels a scale"


def test_group_norm_and_rms_norm_cancel_where_no_bias_is_in_the_way() -> None:
    x = normal(4, 2, 6, 6)
    biased = network(nn.GroupNorm(2, 6))
    assert cancelled(scale_invariance(probe_of(biased, x)))["0"] == 0  # the bias does not grow with the weights
    nn.init.zeros_(biased[0].bias)
    assert cancelled(scale_invariance(probe_of(biased, x)))["0"] == 1


def test_fixed_statistics_cancel_nothing() -> None:
    """In evaluation mode a batch norm is a fixed affine map: asking the model as it stands would miss it."""
    model, x = network(nn.BatchNorm2d(6)), normal(4, 2, 6, 6)
    probe = settle(probe_of(model, x))
    moved = probe.outputs({"0.weight": 2 * model[0].weight.detach()}) - probe.outputs()
    assert float((moved.norm() / probe.outputs().norm()).detach()) > 0.1
    before = {n: b.clone() for n, b in model.named_buffers()}
    scale_invariance(probe)
    assert all(torch.equal(before[n], b) for n, b in model.named_buffers())
    assert not any(m.training for m in model.modules())


def test_layers_without_effect_are_not_called_cancelled() -> None:
    """Behind weights of zero, or a tiny factor, outputs do not move either."""

    class Branch(nn.Module):
        def __init__(self, factor: float) -> None:
            super().__init__()
            self.stem, self.inner, self.end = (nn.Linear(4, 4) for _ in range(3))
            self.factor = factor

        def forward(self, x: Tensor) -> Tensor:
            x = self.stem(x)
            return x + self.factor * self.end(torch.tanh(self.inner(x)))  # type: ignore[no-any-return]

    torch.manual_seed(0)
    silent, faint = Branch(0.0), Branch(1e-6)
    found = scale_invariance(probe_of(silent, normal(3, 4)))
    assert math.isnan(cancelled(found)["inner"])
    assert found.numbers["layers_without_effect"] == 2
    assert found.reading == "no norm cancels a scale; 2 have no effect yet"
    assert cancelled(scale_invariance(probe_of(faint, normal(3, 4)))) == {"stem": 0, "inner": 0, "end": 0}


def test_refusals() -> None:
    zero = nn.Linear(3, 2)
    nn.init.zeros_(zero.weight)
    nn.init.zeros_(zero.bias)
    with pytest.raises(UsageError, match="all outputs are 0"):
        scale_invariance(probe_of(zero, normal(2, 3)))
    with pytest.raises(UsageError, match="needs linear or convolutional layers"):
        scale_invariance(probe_of(nn.Tanh(), normal(2, 3), labels(2, 3)))
