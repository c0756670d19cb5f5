"""The largest eigenvalue of the Hessian: by Lanczos, by power iteration, and by the whole matrix."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, jvp

from tests.diagnostics.probes import chain, labels, normal, probe_of
from weightgen.diagnostics.measure import Probe
from weightgen.diagnostics.sharpness import hessian_product, largest_eigenvalue, sharpness
from weightgen.errors import UsageError

pytestmark = pytest.mark.usefixtures("one_thread")


def small() -> Probe:
    return probe_of(chain([4, 6, 3], nn.Tanh), normal(20, 4), labels(20, 3)).double()


def whole(probe: Probe) -> Tensor:
    """The Hessian, column by column."""
    product, like = hessian_product(probe)
    return torch.stack([product(row) for row in torch.eye(len(like), dtype=like.dtype)])


def power(probe: Probe, shift: float, rounds: int = 3000) -> float:
    """Power iteration on H + shift, with products by forward-over-reverse differentiation."""
    names = {n: p.detach() for n, p in probe.model.named_parameters()}

    def loss(tensors: dict[str, Tensor]) -> Tensor:
        outputs = functional_call(probe.model, tensors, (probe.batch["x"],))
        return nn.functional.cross_entropy(outputs, probe.batch["labels"])

    generator = torch.Generator().manual_seed(1)
    v = {n: torch.randn(p.shape, generator=generator, dtype=p.dtype) for n, p in names.items()}
    size = 0.0
    for _ in range(rounds):
        bent = jvp(torch.func.grad(loss), (names,), (v,))[1]
        bent = {n: b + shift * v[n] for n, b in bent.items()}
        size = float(sum((b * v[n]).sum() for n, b in bent.items()))
        norm = float(sum(b.square().sum() for b in bent.values())) ** 0.5
        v = {n: b / norm for n, b in bent.items()}
    return size - shift


def test_two_routes_agree() -> None:
    probe = small()
    product, like = hessian_product(probe)
    found, made = largest_eigenvalue(product, like, seed=0, tolerance=1e-10)
    matrix = whole(probe)
    assert torch.allclose(matrix, matrix.T, atol=1e-12)
    assert found == pytest.approx(float(torch.linalg.eigvalsh(matrix)[-1]), rel=1e-8)
    assert found == pytest.approx(power(probe, shift=1.0, rounds=500), rel=1e-6)
    assert made > 1


def test_largest_by_sign_and_not_in_size() -> None:
    """A saddle of eigenvalues 1 and -3: power iteration without a shift would find -3."""
    curvature = torch.diag(torch.tensor([1.0, -3.0, 0.5, 0.2], dtype=torch.float64))
    found, _ = largest_eigenvalue(lambda v: curvature @ v, torch.ones(4, dtype=torch.float64), 0, 1e-10)
    assert found == pytest.approx(1)
    v = torch.ones(4, dtype=torch.float64)
    for _ in range(100):
        v = curvature @ v / (curvature @ v).norm()
    assert float(v @ curvature @ v) == pytest.approx(-3)


def test_measurement() -> None:
    probe = probe_of(chain([4, 6, 3], nn.Tanh), normal(8, 4), labels(8, 3))
    found = sharpness(probe)
    exact = float(torch.linalg.eigvalsh(whole(probe.double()))[-1])
    assert found.numbers["largest_eigenvalue"] == pytest.approx(exact, rel=1e-3)
    assert found.numbers["stable_rate"] == pytest.approx(2 / exact, rel=1e-3)
    slopes = torch.autograd.grad(probe.mean_loss(), [*probe.model.parameters()])
    assert found.numbers["gradient_norm"] == pytest.approx(float(torch.cat([s.flatten() for s in slopes]).norm()))
    assert found == sharpness(probe)


def test_gradient_descent_is_stable_up_to_two_over_lambda() -> None:
    """On a quadratic bowl: just below it the loss falls, just above it grows."""
    x = normal(30, 3)

    def loss(outputs: Tensor, batch: object) -> Tensor:
        return outputs.square().mean()

    model = nn.Linear(3, 1, bias=False)
    rate = sharpness(probe_of(model, x[:8], loss=loss)).numbers["stable_rate"]
    for factor, falls in ((0.98, True), (1.02, False)):
        w = model.weight.detach().clone()
        losses = []
        for _ in range(300):
            w.requires_grad_()
            value = (x[:8] @ w.T).square().mean()
            losses.append(float(value.detach()))
            w = (w - factor * rate * torch.autograd.grad(value, w)[0]).detach()
        assert (losses[-1] < losses[-30]) == falls


def test_parameters_that_do_not_count_and_single_ones() -> None:
    model = chain([3, 2])
    model.register_parameter("unused", nn.Parameter(torch.ones(5)))
    assert sharpness(probe_of(model, normal(4, 3), labels(4, 2))).numbers["largest_eigenvalue"] > 0

    class One(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.tensor([2.0]))

        def forward(self, x: Tensor) -> Tensor:
            return x * self.w

    probe = probe_of(One(), torch.ones(2, 1), loss=lambda outputs, batch: 3 * outputs.square().mean())
    assert sharpness(probe).numbers["largest_eigenvalue"] == pytest.approx(6)


def test_refusals() -> None:
    with pytest.raises(UsageError, match="needs a loss"):
        sharpness(probe_of(chain([3, 3]), normal(2, 3)))
    with pytest.raises(UsageError, match="are not finite"):
        largest_eigenvalue(lambda v: v * float("nan"), torch.ones(4), 0)
