"""EOI: exact orthogonality at the density asked for, masks, densities per layer, and what is not orthogonal."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from weightgen.errors import UsageError
from weightgen.inits.eoi import eoi_, eoi_mask, erk_densities
from weightgen.inits.gain import moments
from weightgen.inits.tensors import centre_tap


def gram_error(weight: Tensor, sigma: float = 1.0) -> float:
    """Return the largest element of W'W / sigma^2 - I, or of WW' where W is wide."""
    tall = (weight if len(weight) >= weight.shape[1] else weight.T) / sigma
    return float((tall.T @ tall - torch.eye(tall.shape[1])).abs().max())


def density(weight: Tensor) -> float:
    return float((weight != 0).double().mean())


@settings(max_examples=40, deadline=None)
@given(out=st.integers(2, 60), into=st.integers(2, 60), share=st.floats(0, 1), seed=st.integers(0, 99))
def test_weights_are_orthogonal_at_their_density(out: int, into: int, share: float, seed: int) -> None:
    least = 1 / max(out, into)
    wanted = least + share * (1 - least)
    weight = eoi_(torch.empty(out, into), wanted, generator=torch.Generator().manual_seed(seed))
    assert gram_error(weight) < 2e-5
    assert abs(density(weight) - wanted) <= least / 2 + 1e-9


@pytest.mark.parametrize(
    ("shape", "wanted"), [((128, 128), 0.05), ((128, 128), 1.0), ((300, 784), 0.125), ((7, 1), 0.5)]
)
def test_ordinary_shapes(shape: tuple[int, int], wanted: float) -> None:
    weight = eoi_(torch.empty(shape), wanted, sigma=1.0247, generator=torch.Generator().manual_seed(0))
    assert gram_error(weight, 1.0247) < 2e-6
    assert abs(density(weight) - wanted) <= 1 / max(shape)


def test_sparse_and_masked_weights_of_torch_are_not_orthogonal() -> None:
    generator = torch.Generator().manual_seed(0)
    sparse = torch.nn.init.sparse_(torch.empty(64, 64), sparsity=0.9, std=math.sqrt(1 / 6.4), generator=generator)
    dense = torch.nn.init.orthogonal_(torch.empty(64, 64), generator=generator)
    masked = dense * (torch.rand(64, 64, generator=generator) < 0.1) / math.sqrt(0.1)
    for weight in (sparse, masked):
        assert abs(density(weight) - 0.1) < 0.02
        assert gram_error(weight) > 0.5


def test_tanh_is_critical_at_the_authors_deviations() -> None:
    size, slope = moments(torch.tanh, math.sqrt(0.0259))
    assert 1.0247**2 * slope == pytest.approx(1, abs=1e-4)
    assert 1.0247**2 * size + 0.004485**2 == pytest.approx(0.0259, abs=5e-5)


@pytest.mark.parametrize("more_nonzeros", [False, True])
def test_convolutions_are_orthogonal_in_the_middle(more_nonzeros: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    weight = eoi_(torch.empty(24, 16, 3, 3), 0.125, generator=generator, more_nonzeros=more_nonzeros)
    centre = centre_tap(weight)
    own = math.sqrt(0.125) if more_nonzeros else 0.125
    assert gram_error(centre) < 2e-5
    assert abs(density(centre) - own) <= 1 / 24
    assert int(weight.count_nonzero()) == int(centre.count_nonzero())
    mask = eoi_mask(weight, 0.125, generator)
    assert mask.dtype == torch.bool
    assert int(mask.sum()) == round(0.125 * weight.numel())
    assert bool(mask[weight != 0].all())
    outside = mask & (weight == 0)
    assert bool(outside.any(0).any(0).all())  # zeros of every position are unfrozen
    assert not torch.equal(mask, eoi_mask(weight, 0.125, generator))
    x = torch.randn(1, 16, 6, 6, generator=generator)
    y = torch.nn.functional.conv2d(x, weight, padding=1)
    assert torch.allclose(y.norm(dim=1), x.norm(dim=1), atol=1e-5)


def test_few_positions_keep_the_middle_within_the_whole() -> None:
    weight = eoi_(torch.empty(64, 64, 3, 3), 0.02, more_nonzeros=True)
    assert density(centre_tap(weight)) == pytest.approx(math.sqrt(0.02), abs=1 / 64)
    assert density(weight) <= 0.02
    weight = eoi_(torch.empty(64, 64, 1, 1), 0.25, more_nonzeros=True)
    assert density(weight) == pytest.approx(0.25, abs=1 / 64)


def test_masks_of_matrices_are_their_nonzeros() -> None:
    for shape in ((32, 48), (32, 48, 1, 1)):
        weight = eoi_(torch.empty(shape), 0.3)
        assert torch.equal(eoi_mask(weight, 0.3), weight != 0)


def test_the_least_density_is_the_identity() -> None:
    weight = eoi_(torch.empty(5, 20), 1 / 20)
    assert torch.equal(weight, torch.eye(5, 20))
    for wanted in (0.04, 0.0, -1.0, 1.01, math.nan):
        with pytest.raises(UsageError, match="density: an orthogonal matrix of 5 x 20 has one between 1/20 and 1"):
            eoi_(weight, wanted)
    assert torch.equal(weight, torch.eye(5, 20))
    with pytest.raises(
        UsageError,
        match=r"of 1 x 1 has one between 1/1 and 1, found 0.5: ask for one of these, or leave the layer dense",
    ):
        eoi_(torch.empty(8, 1, 3, 3), 0.5, groups=8)
    with pytest.raises(UsageError, match="sigma: expected a positive number, found 0"):
        eoi_(weight, 0.5, sigma=0.0)
    for wanted in (0.0, 1.5):
        with pytest.raises(UsageError, match="density: expected more than 0 and at most 1, found"):
            eoi_mask(weight, wanted)


shapes_of_layers = st.lists(
    st.one_of(
        st.tuples(st.integers(1, 64), st.integers(1, 64)),
        st.tuples(st.integers(1, 64), st.integers(1, 64), st.sampled_from([1, 3, 5]), st.sampled_from([1, 3])),
    ),
    min_size=1,
    max_size=6,
)


@given(shapes=shapes_of_layers, wanted=st.floats(0.01, 1))
def test_densities_of_layers_add_up(shapes: list[tuple[int, ...]], wanted: float) -> None:
    found = erk_densities(shapes, wanted)
    sizes = [math.prod(s) for s in shapes]
    assert sum(d * n for d, n in zip(found, sizes, strict=True)) == pytest.approx(wanted * sum(sizes))
    assert all(0 < d <= 1 for d in found)
    shares = [d * n / sum(s) for d, n, s in zip(found, sizes, shapes, strict=True)]
    sparse = [share for d, share in zip(found, shares, strict=True) if d < 1]
    assert sparse == pytest.approx([max(shares)] * len(sparse))  # dense layers get less than their share


def test_densities_that_cannot_be() -> None:
    assert erk_densities([(4, 4), (8, 8)], 1.0) == [1.0, 1.0]
    for wanted in (0.0, 1.1):
        with pytest.raises(UsageError, match="density: expected more than 0 and at most 1, found"):
            erk_densities([(4, 4)], wanted)
    for shapes in ([], [(4,)], [(4, 0)]):
        with pytest.raises(UsageError, match="shapes: expected at least one"):
            erk_densities(shapes, 0.5)
