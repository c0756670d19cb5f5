"""Low rank at equal norm: the rank, the norm, and what truncation alone gets wrong."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from weightgen.errors import InputError, UsageError
from weightgen.inits.low_rank import low_rank_


def drawn(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=dtype)


@given(out=st.integers(1, 24), into=st.integers(1, 24), share=st.floats(0, 1), seed=st.integers(0, 99))
def test_the_rank_is_exact_and_the_norm_unchanged(out: int, into: int, share: float, seed: int) -> None:
    weight = torch.randn(out, into, generator=torch.Generator().manual_seed(seed))
    rank = 1 + math.floor(share * (min(out, into) - 1))
    norm = float(weight.norm())
    low_rank_(weight, rank)
    values = torch.linalg.svdvals(weight.double())
    assert int((values > 1e-5 * values[0]).sum()) == rank
    assert float(weight.norm()) == pytest.approx(norm, rel=1e-5)


def test_the_directions_that_matter_most_are_kept() -> None:
    weight = drawn(20, 30, dtype=torch.float64)
    left, values, right = torch.linalg.svd(weight, full_matrices=False)
    found = low_rank_(weight.clone(), 3)
    plain = left[:, :3] * values[:3] @ right[:3]
    assert torch.allclose(found, plain * (weight.norm() / plain.norm()))
    assert float(plain.norm() / weight.norm()) < 0.7  # truncation alone loses the norm
    assert torch.allclose(low_rank_(weight.clone(), 20), weight)


def test_kernels_are_matrices_of_their_patches() -> None:
    weight = drawn(12, 4, 3, 3)
    norm = float(weight.norm())
    assert torch.linalg.matrix_rank(low_rank_(weight, 5).flatten(1).double(), rtol=1e-5) == 5
    assert float(weight.norm()) == pytest.approx(norm, rel=1e-5)


def test_ranks_that_a_weight_cannot_have_are_refused() -> None:
    weight = drawn(6, 9)
    before = weight.clone()
    for rank in (0, -1, 7):
        with pytest.raises(UsageError, match=f"rank: expected 1 to 6, found {rank}"):
            low_rank_(weight, rank)
    assert torch.equal(weight, before)
    low_rank_(weight, 2)
    with pytest.raises(UsageError, match="rank: the weight has rank 2, which is below 3: draw it at random first"):
        low_rank_(weight, 3)
    with pytest.raises(UsageError, match="rank: the weight has rank 0, which is below 1"):
        low_rank_(torch.zeros(3, 3), 1)
    weight[0, 0] = math.inf
    with pytest.raises(InputError, match="low_rank_: the weight has values that are not finite"):
        low_rank_(weight, 1)
