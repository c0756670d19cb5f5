"""Variances through the layers: He's and Glorot's rules keep what they say they keep, and nothing else does."""

from __future__ import annotations

import math
import re

import pytest
import torch
from torch import Tensor, nn

from tests.diagnostics.probes import chain, labels, normal, probe_of
from weightgen.diagnostics.variance import layer_variances, variance
from weightgen.errors import UsageError

pytestmark = pytest.mark.usefixtures("one_thread")
WIDTHS = [256, *[256] * 12]


def test_he_keeps_the_variance_of_preactivations_and_gradients() -> None:
    found = list(layer_variances(probe_of(chain(WIDTHS), normal(64, 256))).values())
    assert found[0][0] == pytest.approx(2.0, rel=0.1)  # twice that of the inputs, which no ReLU has halved
    for forward, backward in found[1:]:
        assert forward == pytest.approx(found[0][0], rel=0.5)
        assert backward == pytest.approx(found[-1][1], rel=0.5)


@pytest.mark.parametrize("factor", [1.0, 4.0])
def test_other_scales_do_not(factor: float) -> None:
    """A ReLU network with Var w = factor / fan-in multiplies both variances by factor / 2 a layer."""
    found = list(layer_variances(probe_of(chain(WIDTHS, sigma_w=math.sqrt(factor)), normal(64, 256))).values())
    for way in (0, 1):
        first, last = (found[0][0], found[-1][0]) if way == 0 else (found[-1][1], found[0][1])
        assert (last / first) ** (1 / 11) == pytest.approx(factor / 2, rel=0.06)


def test_only_glorot_halves_the_difference_between_unlike_widths() -> None:
    """Of a linear 300 -> 30 layer fan-in keeps outputs, fan-out keeps gradients (Glorot and Bengio 2010, eq. 10-12)."""
    model = chain([300, 300, 30], nn.Identity, sigma_w=1.0)
    (first, gradient), (last, behind) = layer_variances(probe_of(model, normal(400, 300))).values()
    assert last / first == pytest.approx(1, rel=0.3)
    assert gradient / behind == pytest.approx(30 / 300, rel=0.3)


def test_the_gradient_is_that_of_the_loss() -> None:
    model, x, y = chain([6, 5, 4], nn.Tanh), normal(7, 6), labels(7, 4)
    outputs = model(x)
    (slope,) = torch.autograd.grad(nn.functional.cross_entropy(outputs, y), outputs)
    found = layer_variances(probe_of(model, x, y))
    assert list(found["2"]) == pytest.approx([float(v.detach().var(unbiased=False)) for v in (outputs, slope)])


def test_layers_in_the_order_of_execution_even_where_activations_overwrite() -> None:
    class Twisted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.late, self.early, self.unused = nn.Linear(4, 3), nn.Linear(5, 4), nn.Linear(2, 2)

        def forward(self, x: Tensor) -> Tensor:
            kept = nn.functional.relu(self.early(x), inplace=True)
            return self.late(kept) + self.late(kept * 2)  # type: ignore[no-any-return]

    model, x = Twisted(), normal(50, 5)
    found = layer_variances(probe_of(model, x))
    assert list(found) == ["early", "late", "late (2)"]
    assert found["early"][0] == pytest.approx(float(model.early(x).detach().var(unbiased=False)))
    assert all(math.isfinite(v) for pair in found.values() for v in pair)


def test_measurement() -> None:
    found = variance(probe_of(chain(WIDTHS, sigma_w=1.0), normal(32, 256), labels(32, 256)))
    assert found.numbers["forward_last_over_first"] == pytest.approx(2**-11, rel=0.6)
    assert re.fullmatch(r"over 12 layers outputs shrink \(x 0\.4\d+ a layer\) and gradients shrink .*", found.reading)
    assert [r.layer for r in found.rows] == [str(2 * i) for i in range(12)]
    assert found.series[0].values == tuple(r.values["forward"] for r in found.rows)
    dead = chain([8, 8, 8])
    nn.init.zeros_(dead[0].weight)
    nn.init.zeros_(dead[2].weight)
    assert "not finite" in variance(probe_of(dead, normal(4, 8))).reading
    with pytest.raises(UsageError, match="needs linear or convolutional layers"):
        variance(probe_of(nn.ReLU(), normal(4, 8)))


def test_the_factor_of_gradients_is_a_layer_that_they_reach() -> None:
    class Aside(nn.Module):
        """Two layers whose gradient is quartered from one to the other, and two that no gradient reaches."""

        def __init__(self) -> None:
            super().__init__()
            self.first, self.aside, self.beside = (nn.Linear(4, 4, bias=False) for _ in range(3))
            self.last = nn.Linear(4, 4, bias=False)
            for layer in (self.first, self.aside, self.beside, self.last):
                layer.weight = nn.Parameter(torch.eye(4) / 2)

        def forward(self, x: Tensor) -> Tensor:
            x = self.first(x)
            self.beside(self.aside(x))
            return self.last(x)  # type: ignore[no-any-return]

    found = variance(probe_of(Aside(), normal(32, 4), labels(32, 4)))
    assert found.numbers["backward_first_over_last"] == pytest.approx(0.25)
    assert found.reading.endswith("gradients keep their variance (x 0.25 a layer)")
