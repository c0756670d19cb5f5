"""The tangent kernel by sums of logits against the full one, and how lazy or rich a training was."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.diagnostics.probes import chain, labels, normal, probe_of
from weightgen.diagnostics.kernel import full_kernel, kernel, kernel_alignment, sum_of_logits_kernel
from weightgen.diagnostics.measure import Probe
from weightgen.errors import UsageError

pytestmark = pytest.mark.usefixtures("one_thread")


class Tangent(nn.Module):
    """One hidden ReLU layer whose weights are N(0, 1) and whose layers divide by sqrt(fan-in)."""

    def __init__(self, width: int, seed: int) -> None:
        super().__init__()
        self.first, self.last = (
            nn.Parameter(normal(*s, seed=seed + i)) for i, s in enumerate([(width, 8), (4, width)])
        )

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.relu(x @ self.first.T / math.sqrt(8))
        return hidden @ self.last.T * math.sqrt(2 / len(self.first))


def distance(probe: Probe) -> float:
    """The relative error of K (x) I."""
    full, small = full_kernel(probe), sum_of_logits_kernel(probe)
    built = torch.einsum("ij,op->iojp", small, torch.eye(full.shape[1], dtype=full.dtype))
    return float((built - full).norm() / full.norm())


def test_the_sum_is_the_mean_over_pairs_of_outputs() -> None:
    """K = (1/O) sum over o and o' of Theta, of any network."""
    for model in (chain([6, 9, 5], nn.Tanh), nn.Sequential(nn.Unflatten(1, (1, 6)), nn.Conv1d(1, 2, 3), nn.Flatten())):
        probe = probe_of(model, normal(4, 6)).double()
        full = full_kernel(probe)
        assert torch.allclose(sum_of_logits_kernel(probe), full.sum((1, 3)) / full.shape[1], rtol=1e-10)
        assert not torch.allclose(sum_of_logits_kernel(probe), full.diagonal(dim1=1, dim2=3).mean(-1), rtol=0.05)


def test_the_full_kernel_is_the_product_of_jacobians() -> None:
    model, x = chain([3, 4, 2], nn.Tanh), normal(3, 3)
    rows = []
    for item in x:
        for output in model(item):
            slopes = torch.autograd.grad(output, [*model.parameters()], retain_graph=True)
            rows.append(torch.cat([s.flatten() for s in slopes]))
    jacobian = torch.stack(rows).double()
    assert torch.allclose(full_kernel(probe_of(model, x)).reshape(6, 6), jacobian @ jacobian.T, rtol=1e-5)


@pytest.mark.parametrize(("parametrisation", "exponent"), [("tangent", -0.5), ("standard", -1.5)])
def test_the_error_falls_with_width_as_the_parametrisation_says(parametrisation: str, exponent: float) -> None:
    widths = [32, 128, 512, 2048]
    errors = []
    for width in widths:
        models: list[nn.Module] = [
            Tangent(width, seed) if parametrisation == "tangent" else chain([8, width, 4], biased=False, seed=seed)
            for seed in range(0, 24, 2)
        ]
        errors.append(np.mean([distance(probe_of(m, normal(4, 8))) for m in models]))
    slope = np.polyfit(np.log(widths), np.log(errors), 1)[0]
    assert slope == pytest.approx(exponent, abs=0.25)


def test_alignment() -> None:
    """Small steps from a wide, large start leave the kernel where it is; a small start moves it."""
    x, y = normal(12, 5), labels(12, 3)

    def moved(scale: float, rate: float) -> float:
        model = chain([5, 64, 3], nn.Tanh, sigma_w=scale)
        probe = probe_of(model, x, y)
        before = sum_of_logits_kernel(probe)
        for _ in range(100):
            slopes = torch.autograd.grad(probe.mean_loss(), [*model.parameters()])
            with torch.no_grad():
                for parameter, slope in zip(model.parameters(), slopes, strict=True):
                    parameter.sub_(rate * slope)
        return kernel_alignment(before, sum_of_logits_kernel(probe))

    lazy, rich = moved(1.0, 1e-4), moved(0.02, 0.5)
    assert lazy > 0.9999
    assert rich < 0.9
    one = torch.eye(3)
    assert kernel_alignment(one, 7 * one) == pytest.approx(1)
    assert kernel_alignment(torch.diag(torch.tensor([1.0, 0, 0])), torch.diag(torch.tensor([0, 1.0, 0]))) == 0
    with pytest.raises(UsageError, match=r"of the same items are compared, found shapes \[3, 3\] and \[2, 2\]"):
        kernel_alignment(one, torch.eye(2))
    with pytest.raises(UsageError, match="zeros has no direction"):
        kernel_alignment(one, 0 * one)


def test_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    probe = probe_of(chain([6, 9, 5], nn.Tanh), normal(8, 6))
    found = kernel(probe)
    values = torch.linalg.eigvalsh(sum_of_logits_kernel(probe)).flip(0)
    assert found.numbers["largest"] == pytest.approx(float(values[0]))
    assert found.numbers["condition"] == pytest.approx(float(values[0] / values[-1]))
    assert found.series[0].values == pytest.approx(values.tolist())
    monkeypatch.setattr("weightgen.diagnostics.kernel.HELD", 3 * sum(p.numel() for p in probe.parameters().values()))
    assert kernel(probe).sample == "3 of 8 items, outputs summed"


def test_refusals() -> None:
    with pytest.raises(UsageError, match="the full kernel of 8 items and 9 outputs: 64 in all at most"):
        full_kernel(probe_of(chain([2, 9]), normal(8, 2)))
    dead = chain([3, 3, 2], biased=False)
    for parameter in dead.parameters():
        nn.init.zeros_(parameter)
    with pytest.raises(UsageError, match="the outputs have no gradient"):
        kernel(probe_of(dead, normal(2, 3)))
