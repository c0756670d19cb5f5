"""Prototype heads: rows from clusters of features, and the labels that they give."""

from __future__ import annotations

import doctest

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from weightgen.errors import InputError, UsageError
from weightgen.inits import prototypes as module
from weightgen.inits.prototypes import orthogonalised, prototype_, prototypes, standardised


def clusters(classes: int, width: int, spread: float, seed: int = 0, each: int = 40) -> tuple[Tensor, Tensor]:
    """Features around `classes` directions, of any length and offset, and which direction each is of."""
    generator = torch.Generator().manual_seed(seed)
    directions = nn.functional.normalize(torch.randn(classes, width, generator=generator))
    labels = torch.arange(classes).repeat(each)
    noise = spread * torch.randn(len(labels), width, generator=generator) / width**0.5
    lengths = 0.1 + 5 * torch.rand(len(labels), 1, generator=generator)
    return lengths * (directions[labels] + noise) + torch.randn(len(labels), 1, generator=generator), labels


@settings(deadline=None, max_examples=8)
@given(st.integers(2, 6), st.integers(12, 40), st.integers(0, 99))
def test_the_head_agrees_with_k_means(classes: int, width: int, seed: int) -> None:
    features, _ = clusters(classes, width, 0.3, seed)
    head = nn.Linear(width, classes)
    nn.init.zeros_(head.bias)
    prototype_(head.weight, features, seed)
    _, labels = prototypes(features, classes, seed)
    with torch.no_grad():
        agreement = (head(features).argmax(1) == labels).float().mean()  # of the features as they are, not z-scored
    assert float(agreement) > 0.97


def test_clusters_that_are_apart_are_found() -> None:
    features, truth = clusters(5, 32, 0.2)
    found, labels = prototypes(features, 5)
    assert found.shape == (5, 32)
    assert torch.allclose(found.norm(dim=1), torch.ones(5, dtype=torch.float64))
    assert torch.allclose(found.sum(1), torch.zeros(5, dtype=torch.float64), atol=1e-12)
    assert len({(int(a), int(b)) for a, b in zip(truth, labels, strict=True)}) == 5
    for label in range(5):
        mean = standardised(features)[labels == label].mean(0)
        assert float(mean.norm()) < 0.995  # the mean of unit vectors is shorter: rows are scaled
        assert torch.allclose(found[label], mean / mean.norm(), atol=1e-9)


def test_random_rows_do_not_agree() -> None:
    features, _ = clusters(5, 32, 0.2)
    _, labels = prototypes(features, 5)
    head = torch.randn(5, 32, generator=torch.Generator().manual_seed(1))
    assert float(((features @ head.T).argmax(1) == labels).float().mean()) < 0.6


def test_features_of_each_sample_are_standardised() -> None:
    features = torch.randn(6, 9, generator=torch.Generator().manual_seed(0))
    found = standardised(features)
    scores = (features - features.mean(1, keepdim=True)) / features.std(1, keepdim=True)
    assert torch.allclose(found, nn.functional.normalize(scores).double(), atol=1e-6)
    assert torch.allclose(standardised(3 * features + 7), found, atol=1e-5)


def test_one_seed_gives_one_head() -> None:
    features, _ = clusters(4, 16, 2.0)
    heads = [prototype_(torch.empty(4, 16), features, seed) for seed in (0, 0, 3)]
    assert torch.equal(heads[0], heads[1])
    assert prototype_(torch.empty(4, 16, dtype=torch.bfloat16), features).dtype == torch.bfloat16
    assert heads[2].shape == (4, 16)


def test_the_fit_moves_prototypes_apart_to_a_simplex() -> None:
    features, _ = clusters(5, 32, 0.2)
    features += 2 * features[0]  # which all have in common
    rows, _ = prototypes(features, 5)
    moved = orthogonalised(rows, 150)

    def cosines(values: Tensor) -> Tensor:
        unit = nn.functional.normalize(values)
        return (unit @ unit.T)[~torch.eye(5, dtype=torch.bool)]

    assert float(cosines(rows).min()) > 0.5
    assert torch.allclose(cosines(moved), torch.tensor(-0.25, dtype=torch.float64), atol=0.05)
    weight = prototype_(torch.empty(5, 32), features, orthogonalise=150)
    assert torch.equal(weight, moved.float())


@pytest.mark.parametrize(
    ("features", "error", "text"),
    [
        (torch.zeros(4, 3), InputError, r"sample 0 is constant or not finite \(4 such\)"),
        (torch.tensor([[1.0, 2.0, 3.0], [1.0, float("nan"), 2.0]]), InputError, r"sample 1 .* \(1 such\)"),
        (torch.ones(4, 3, dtype=torch.long), UsageError, "expected floating numbers"),
        (torch.tensor([[1.0, 2.0, 3.0]]), UsageError, "count: expected 1 to 1 prototypes.* found 2"),
        (torch.tensor([[1.0, 2.0, 3.0]] * 4), UsageError, "expected at least 2 distinct samples. Ask for fewer"),
    ],
)
def test_features_without_prototypes_are_refused(features: Tensor, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        prototype_(torch.empty(2, 3), features)


def test_heads_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UsageError, match=r"the head \[2, 3\] does not read features \[4, 5\]"):
        prototype_(torch.empty(2, 3), torch.rand(4, 5))
    with pytest.raises(UsageError, match="prototype_: a weight on the meta device"):
        prototype_(torch.empty(2, 3, device="meta"), torch.rand(4, 3))
    with pytest.raises(UsageError, match="steps: expected at least 1, found 0"):
        orthogonalised(torch.eye(2), 0)


def test_examples() -> None:
    assert doctest.testmod(module).failed == 0
