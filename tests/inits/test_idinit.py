"""IDInit: padded identities, branches that end next to zero, both orders of a patch, and what is no IDInit."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from weightgen.errors import UsageError
from weightgen.inits.idinit import idinit_, idinit_zero_


def obeys(weight: Tensor, tau: float) -> bool:
    """Whether each row m has one number, tau, at column m mod in."""
    out, into = weight.shape
    rows = torch.arange(out)
    expected = torch.zeros(out, into)
    expected[rows, rows % into] = tau
    return torch.equal(weight, expected)


@given(out=st.integers(1, 40), into=st.integers(1, 40), tau=st.sampled_from([0.5, 1.0, 2.0]))
def test_each_row_has_one_tau(out: int, into: int, tau: float) -> None:
    weight = idinit_(torch.empty(out, into), tau)
    assert obeys(weight, tau)
    assert torch.linalg.matrix_rank(weight) == min(out, into)


def test_a_padded_identity_times_xavier_is_no_idinit() -> None:
    snippet = torch.zeros(12, 4)
    snippet[:4, :4] = torch.eye(4) * math.sqrt(2 / 16)
    assert not obeys(snippet, 1.0)
    assert not obeys(torch.nn.init.eye_(torch.empty(12, 4)), 1.0)
    assert obeys(torch.nn.init.eye_(torch.empty(4, 12)), 1.0)


def test_looseness_is_a_variance() -> None:
    generator = torch.Generator().manual_seed(0)
    noise = idinit_(torch.empty(200, 100), loose=1e-6, generator=generator) - idinit_(torch.empty(200, 100))
    assert float(noise.std()) == pytest.approx(1e-3, rel=0.02)
    assert bool((noise != 0).float().mean() > 0.99)


@given(out=st.integers(1, 30), into=st.integers(2, 30), eps=st.sampled_from([1e-6, 0.5]))
def test_rows_of_a_branch_end_hold_both_signs(out: int, into: int, eps: float) -> None:
    weight = idinit_zero_(torch.empty(out, into), eps)
    assert bool(((weight == weight.new_tensor(eps)).sum(1) == 1).all())
    assert bool(((weight == -weight.new_tensor(eps)).sum(1) == 1).all())
    assert int(weight.count_nonzero()) == 2 * out
    assert not weight.sum(1).any()
    x = torch.linspace(-1, 1, into)
    assert float((weight @ x).abs().max()) <= 2 * eps * (1 + 1e-6)
    rows = torch.arange(out)
    assert bool((weight[rows, rows % into] > 0).all())
    minus = out + rows % (into - out) if out < into else (rows + 1) % into
    assert bool((weight[rows, minus] < 0).all())


@pytest.mark.parametrize("rule", [idinit_, idinit_zero_])
def test_patches_are_flattened_in_both_orders(rule: Callable[..., Tensor]) -> None:
    out, into, height, width = 20, 3, 3, 2
    matrix = rule(torch.empty(out, into * height * width))
    weights = [torch.empty(out, into, height, width) for _ in range(2)]
    paper, plain = rule(weights[0]), rule(weights[1], order="torch")
    assert torch.equal(plain.flatten(1), matrix)
    assert torch.equal(paper.permute(0, 2, 3, 1).flatten(1), matrix)
    assert not torch.equal(paper, plain)
    assert paper[1, 1, 0, 0] > 0  # the second output reads the second channel
    assert plain[1, 0, 0, 1] > 0  # or the second position


def test_patches_are_no_identity_maps() -> None:
    x = torch.randn(1, 4, 6, 6, generator=torch.Generator().manual_seed(0))
    y = torch.nn.functional.conv2d(x, idinit_(torch.empty(4, 4, 3, 3)), padding=1)
    assert torch.equal(y[..., 1:, 1:], x[..., :-1, :-1])  # the patch's first position: one up and one left
    assert not torch.equal(y, x)


def test_no_unit_of_a_branch_end_is_dead() -> None:
    x = torch.randn(6, 5, generator=torch.Generator().manual_seed(0))
    for rule, alive in ((idinit_zero_, True), (torch.nn.init.zeros_, False)):
        below, weight = x.clone().requires_grad_(), rule(torch.empty(6, 6)).requires_grad_()
        for slope in torch.autograd.grad((weight @ below).square().sum(), [below, weight]):
            assert bool((slope.abs().sum(1) > 0).all()) == alive


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(UsageError, match=r"a fan-in of 1 has no room for \+eps and -eps: use torch.nn.init.zeros_"):
        idinit_zero_(torch.empty(5, 1))
    with pytest.raises(UsageError, match="tau: expected a positive number, found 0"):
        idinit_(torch.empty(2, 2), tau=0.0)
    with pytest.raises(UsageError, match="eps: expected a positive number, found -1"):
        idinit_zero_(torch.empty(2, 2), eps=-1.0)
    with pytest.raises(UsageError, match="loose: expected a variance of 0 or more, found -1"):
        idinit_(torch.empty(2, 2), loose=-1.0)
    rules: list[Callable[..., Tensor]] = [idinit_, idinit_zero_]
    for rule in rules:
        with pytest.raises(UsageError, match="order: expected paper or torch, found 'numpy'"):
            rule(torch.empty(2, 2), order="numpy")
