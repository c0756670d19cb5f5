"""ZerO: its entries, its isometry, what it escapes, and the mistakes that ports of it make."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from weightgen.errors import UsageError
from weightgen.inits.idinit import idinit_
from weightgen.inits.tensors import centre_tap
from weightgen.inits.zero import zero_


def obeys(weight: Tensor) -> bool:
    """Whether a matrix is ZerO's, by its definition as a product: c I*(out, p) H_p I*(p, in)."""
    out, into = weight.shape
    expected = torch.eye(out, into)
    if out > into:
        hadamard = torch.ones(1, 1)
        while len(hadamard) < out:
            hadamard = torch.kron(torch.tensor([[1.0, 1.0], [1.0, -1.0]]), hadamard)
        expected = len(hadamard) ** -0.5 * hadamard[:out, :into]
    return torch.allclose(weight, expected)


@given(out=st.integers(1, 70), into=st.integers(1, 70))
def test_matrices_are_identities_or_hadamards(out: int, into: int) -> None:
    weight = zero_(torch.empty(out, into))
    assert obeys(weight)
    assert out > into or set(weight.flatten().tolist()) <= {0.0, 1.0}
    if out > into:
        c = 2 ** (-math.ceil(math.log2(out)) / 2)
        assert weight.abs().flatten().tolist() == pytest.approx([c] * weight.numel())
        p = 1 << (out - 1).bit_length()
        assert weight.norm(dim=0).tolist() == pytest.approx([math.sqrt(out / p)] * into)


@pytest.mark.parametrize("out", [2, 8, 16, 32, 64])
def test_powers_of_two_are_isometric(out: int) -> None:
    weight = zero_(torch.empty(out, out // 2, dtype=torch.float64))
    assert torch.allclose(weight.T @ weight, torch.eye(out // 2, dtype=torch.float64), atol=1e-14)
    wide = zero_(torch.empty(out, out // 2, dtype=torch.float64), scale="paper")
    assert torch.allclose(wide, weight * math.sqrt(2))


def test_other_widths_are_not() -> None:
    norms = zero_(torch.empty(33, 16)).norm(dim=0)
    assert norms.tolist() == pytest.approx([0.718] * 16, abs=5e-4)


def rust_port(out: int, into: int) -> Tensor:
    """Its exponent is halved as an integer."""
    order = (out - 1).bit_length()
    return (
        zero_(torch.empty(out, into)) * 2 ** (order / 2) * 2.0 ** -(order // 2) if out > into else torch.eye(out, into)
    )


def numpy_port(out: int, into: int) -> Tensor:
    """Its in and out are swapped: Hadamard where a layer shrinks."""
    return zero_(torch.empty(into, out)).T


@pytest.mark.parametrize(
    ("port", "right", "wrong"),
    [(rust_port, (16, 8), (8, 4)), (numpy_port, (8, 8), (4, 8)), (numpy_port, (8, 8), (8, 4))],
)
def test_ports_are_wrong(port: Callable[[int, int], Tensor], right: tuple[int, int], wrong: tuple[int, int]) -> None:
    assert obeys(port(*right))
    assert not obeys(port(*wrong))


def test_convolutions_have_the_matrix_in_the_middle() -> None:
    weight = zero_(torch.empty(8, 3, 3, 5))
    assert torch.equal(weight[:, :, 1, 2], zero_(torch.empty(8, 3)))
    assert int(weight.count_nonzero()) == int(centre_tap(weight).count_nonzero()) == 24
    x = torch.randn(1, 8, 6, 6, generator=torch.Generator().manual_seed(0))
    assert torch.equal(torch.nn.functional.conv2d(x, zero_(torch.empty(8, 8, 3, 3)), padding=1), x)


def update_rank(fill: Callable[[Tensor, torch.Generator], Tensor]) -> int:
    """Return the rank, at 1% of the largest, of what 300 steps of gradient descent change in a 48 x 48 layer."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(512, 4, generator=generator)
    y = (x @ torch.randn(4, 4, generator=generator)).argmax(1)
    weights = [fill(torch.empty(shape), generator).requires_grad_() for shape in ((48, 4), (48, 48), (4, 48))]
    before = weights[1].detach().clone()
    for _ in range(300):
        hidden = torch.relu(torch.relu(x @ weights[0].T) @ weights[1].T)
        loss = torch.nn.functional.cross_entropy(hidden @ weights[2].T, y)
        for weight, slope in zip(weights, torch.autograd.grad(loss, weights), strict=True):
            weight.data.sub_(slope, alpha=0.1)
    values = torch.linalg.svdvals(weights[1].detach() - before)
    return int((values > 0.01 * values[0]).sum())


def test_updates_escape_the_rank_of_the_input(one_thread: None) -> None:
    assert update_rank(lambda w, g: torch.nn.init.eye_(w)) == 4  # the bound: zeros after the first 4 stay dead
    assert update_rank(lambda w, g: zero_(w)) >= 6  # 7
    assert update_rank(lambda w, g: idinit_(w)) >= 5  # 6
    assert update_rank(lambda w, g: torch.nn.init.kaiming_normal_(w, generator=g)) >= 15


def test_other_scales_are_refused() -> None:
    with pytest.raises(UsageError, match=r"scale: expected notebook or paper, found 'papers'\. Did you mean 'paper'\?"):
        zero_(torch.empty(2, 2), scale="papers")  # type: ignore[arg-type]
