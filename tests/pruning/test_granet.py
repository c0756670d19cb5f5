"""GraNet: the cubic, and an exchange that keeps the count."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from weightgen.errors import UsageError
from weightgen.pruning.granet import density_at, exchange_, exchange_rate


def test_density_follows_the_cubic() -> None:
    for first, last in ((1.0, 0.1), (0.5, 0.05)):
        for progress in (0, 0.25, 0.5, 1):
            sparsity = (1 - first) + (first - last) * (1 - (1 - progress) ** 3)
            assert density_at(progress, first, last) == pytest.approx(1 - sparsity)
    assert [density_at(p, 1.0, 0.1) for p in (0, 0.5, 1)] == pytest.approx([1, 0.2125, 0.1])
    with pytest.raises(UsageError, match=r"progress: expected 0 to 1, found 1.1"):
        density_at(1.1, 1, 0.1)
    with pytest.raises(UsageError, match=r"expected 0 < last <= first <= 1, found 0.1 and 0.5"):
        density_at(0.5, 0.1, 0.5)


def test_the_rate_is_a_cosine() -> None:
    assert [exchange_rate(p) for p in (0, 0.5, 1)] == pytest.approx([0.5, 0.2525, 0.005])


@settings(max_examples=60, deadline=None)
@given(rate=st.floats(0.005, 0.5), density=st.floats(0.05, 0.95), seed=st.integers(0, 99), ties=st.booleans())
def test_as_many_grow_as_are_pruned(rate: float, density: float, seed: int, ties: bool) -> None:
    generator = torch.Generator().manual_seed(seed)
    kept = torch.rand(8, 9, generator=generator) < density
    weight = torch.ones(8, 9) * kept if ties else torch.randn(8, 9, generator=generator) * kept
    before, gradient = weight.clone(), torch.randn(8, 9, generator=generator)
    after = exchange_(weight, kept, gradient, rate)
    left, came = kept & ~after, after & ~kept
    expected = min(math.ceil(rate * int(kept.sum())), int((~kept).sum()))
    assert int(left.sum()) == int(came.sum()) == expected
    assert int(after.sum()) == int(kept.sum())
    assert not weight[came].any()
    assert not weight[~after].any()
    assert torch.equal(weight[kept & after], before[kept & after])
    if expected and bool((kept & after).any()):
        assert float(before[left].abs().max()) <= float(before[kept & after].abs().min())
    if expected and not bool((~kept & ~after).sum() == 0):
        assert float(gradient[came].abs().min()) >= float(gradient[~kept & ~after].abs().max())


def test_ties_neither_drop_all_nor_none() -> None:
    kept = torch.tensor([True, True, True, True, False, False])
    weight = torch.tensor([1.0, 1, 1, 1, 0, 0])
    after = exchange_(weight, kept, torch.tensor([0.0, 0, 0, 0, 2, 2]), 0.25)
    assert after.tolist() == [False, True, True, True, True, False]
    assert int((weight.abs() > 1).sum()) == 0  # a strict '>' threshold would keep nothing
