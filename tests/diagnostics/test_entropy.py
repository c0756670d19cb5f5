"""Diffusion spectral entropy and information: their values on points whose entropy is known."""

from __future__ import annotations

import math

import pytest
import torch

from weightgen.diagnostics.entropy import (
    SIGMA,
    diffusion_spectral_entropy,
    diffusion_spectral_information,
    scale_of,
)
from weightgen.errors import UsageError


def clusters(count: int, each: int, spread: float) -> torch.Tensor:
    centres = 100 * torch.eye(count).repeat_interleave(each, 0)
    return centres + spread * torch.randn(count * each, count, generator=torch.Generator().manual_seed(0))


def test_equal_points_have_no_entropy() -> None:
    assert diffusion_spectral_entropy(torch.ones(50, 3), 1.0) == pytest.approx(0, abs=1e-6)
    assert scale_of(torch.full((50, 3), 0.1)) == 0


@pytest.mark.parametrize("count", [2, 7, 128])
def test_far_points_have_all_there_is(count: int) -> None:
    assert diffusion_spectral_entropy(100 * torch.eye(count), 1.0) == pytest.approx(math.log2(count), abs=1e-9)


@pytest.mark.parametrize("count", [2, 3, 8])
def test_tight_clusters_count_once(count: int) -> None:
    points = clusters(count, 16, 1e-3)
    assert diffusion_spectral_entropy(points, 1.0) == pytest.approx(math.log2(count), abs=1e-3)
    # A sigma in the data's own scale finds them at any size; the authors' 10 does not.
    for size in (1e-4, 1.0, 1e4):
        found = diffusion_spectral_entropy(points * size, SIGMA * scale_of(points * size))
        assert found == pytest.approx(math.log2(count), abs=0.15)
    assert diffusion_spectral_entropy(points * 1e-4, 10.0) < 0.01
    assert diffusion_spectral_entropy(points * 1e6, 10.0) > math.log2(count) + 2


def test_two_points_have_the_entropy_of_their_two_eigenvalues() -> None:
    """K = [[1, g], [g, 1]] / (1 + g): 1 and (1 - g) / (1 + g)."""
    g = math.exp(-(0.7**2) / (2 * 0.5**2))
    for power in (1, 2):
        second = ((1 - g) / (1 + g)) ** power
        p = 1 / (1 + second)
        expected = -p * math.log2(p) - (1 - p) * math.log2(1 - p)
        found = diffusion_spectral_entropy(torch.tensor([[0.0], [0.7]], dtype=torch.float64), 0.5, power)
        assert found == pytest.approx(expected, abs=1e-9)


def test_degrees_normalise_once() -> None:
    """Three points: normalising the affinities a second time, as a comment of the authors' code says, differs."""
    points = torch.tensor([[0.0], [1.0], [3.0]], dtype=torch.float64)
    affinity = torch.exp(-torch.cdist(points, points).square() / 2)

    def entropy_of(matrix: torch.Tensor) -> float:
        p = torch.linalg.eigvals(matrix).abs()
        p = p / p.sum()
        return float(-(p * p.log2()).sum())

    walk = affinity / affinity.sum(1, keepdim=True)
    density = affinity.sum(1)
    anisotropic = affinity / torch.outer(density, density)
    anisotropic = anisotropic / anisotropic.sum(1, keepdim=True)
    found = diffusion_spectral_entropy(points, 1.0)
    assert found == pytest.approx(entropy_of(walk), abs=1e-9)
    assert abs(found - entropy_of(anisotropic)) > 1e-3


def test_scale_is_the_root_mean_square_distance() -> None:
    points = torch.randn(40, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    assert scale_of(points) == pytest.approx(float(torch.pdist(points).square().mean().sqrt()))


def test_information_is_that_of_the_classes() -> None:
    points, classes = clusters(4, 32, 1e-3), torch.arange(4).repeat_interleave(32)
    assert diffusion_spectral_information(points, classes, 1.0) == pytest.approx(2, abs=0.15)
    assert diffusion_spectral_information(points, classes, 1.0) == diffusion_spectral_information(points, classes, 1.0)
    mixed = torch.arange(128) % 4  # every class has a share of every cluster
    assert abs(diffusion_spectral_information(points, mixed, 1.0)) < 0.1
    # Without subsamples of the classes' size, many different points look informative about classes that mean nothing.
    far, half = 100 * torch.eye(64), torch.arange(64) % 2
    assert diffusion_spectral_information(far, half, 1.0) == pytest.approx(0, abs=1e-9)
    naive = diffusion_spectral_entropy(far, 1.0) - diffusion_spectral_entropy(far[half == 0], 1.0)
    assert naive == pytest.approx(1)


def test_what_has_no_entropy_is_refused() -> None:
    with pytest.raises(UsageError, match=r"points: expected \(N, D\), found \[3\]"):
        diffusion_spectral_entropy(torch.ones(3), 1.0)
    with pytest.raises(UsageError, match="sigma: expected a positive number, found 0"):
        diffusion_spectral_entropy(torch.ones(3, 1), 0.0)
    with pytest.raises(UsageError, match=r"at least two rows, \(N, D\), found \[1, 4\]"):
        scale_of(torch.ones(1, 4))
    with pytest.raises(UsageError, match=r"one for each of 3 points, found \[2\]"):
        diffusion_spectral_information(torch.ones(3, 1), torch.zeros(2, dtype=torch.int64), 1.0)
