"""Masks from scores: exact densities, ties, rounds, and what needs no data."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from weightgen.diagnostics.measure import Probe
from weightgen.diagnostics.synflow import synflow_scores
from weightgen.errors import UsageError
from weightgen.inits.eoi import erk_densities
from weightgen.models.masks import Mask
from weightgen.pruning.choose import Across, Scores, highest, in_rounds
from weightgen.pruning.scores import magnitude_scores, random_scores, signal_to_noise_scores

SHAPES = {"first": (20, 10), "second": (30, 20), "kernel": (8, 4, 3, 3)}


def weights(seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {n: torch.randn(s, generator=generator) * (i + 1) for i, (n, s) in enumerate(SHAPES.items())}


@settings(max_examples=50, deadline=None)
@given(density=st.floats(0.001, 1), seed=st.integers(0, 99), ties=st.booleans())
def test_density_is_exact(density: float, seed: int, ties: bool) -> None:
    scores = {n: (w > 0).float() if ties else w for n, w in weights(seed).items()}
    total = sum(s.numel() for s in scores.values())
    mask = highest(scores, density)
    assert mask.count == round(density * total)
    stay = [float(v) for n, s in scores.items() for v in s[mask.kept[n]]]
    go = [float(v) for n, s in scores.items() for v in s[~mask.kept[n]]]
    assert not stay or not go or min(stay) >= max(go)
    by_layer = highest(scores, density, "layer")
    for name, score in scores.items():
        assert int(by_layer.kept[name].sum()) == round(density * score.numel())


def test_ties_are_broken_by_order() -> None:
    scores = {"a": torch.ones(3), "b": torch.ones(3)}
    mask = highest(scores, 0.5)
    assert [k.tolist() for k in mask.kept.values()] == [[True] * 3, [False] * 3]
    strict = {n: s > 1 for n, s in scores.items()}  # what a threshold by '>' keeps: nothing
    assert not any(bool(k.any()) for k in strict.values())


def test_blind_and_uniform_differ() -> None:
    scores = magnitude_scores(weights())
    blind, uniform = highest(scores, 0.2).densities(), highest(scores, 0.2, "layer").densities()
    assert blind["first"] < 0.05 < 0.3 < blind["kernel"]
    assert uniform == pytest.approx(dict.fromkeys(SHAPES, 0.2), abs=0.005)
    erk = highest(scores, 0.2, "erk").densities()
    assert list(erk.values()) == pytest.approx(erk_densities(list(SHAPES.values()), 0.2), abs=0.005)


def test_signal_to_noise_is_magnitude_where_noise_is_constant() -> None:
    means = weights()
    same = signal_to_noise_scores(means, {n: torch.full_like(m, 0.3) for n, m in means.items()})
    by_size, by_noise = highest(magnitude_scores(means), 0.3), highest(same, 0.3)
    assert all(torch.equal(by_size.kept[n], by_noise.kept[n]) for n in means)
    noisy = {n: torch.rand_like(m) + 0.01 for n, m in means.items()}
    other = highest(signal_to_noise_scores(means, noisy), 0.3)
    assert other.count == by_size.count
    assert any(not torch.equal(by_size.kept[n], other.kept[n]) for n in means)
    with pytest.raises(UsageError, match="a deviation of 'first' is not positive"):
        signal_to_noise_scores(means, {n: torch.zeros_like(m) for n, m in means.items()})
    with pytest.raises(UsageError, match="expected a deviation for each mean"):
        signal_to_noise_scores(means, {})


def test_chance_is_seeded() -> None:
    one, two = (random_scores(weights(), torch.Generator().manual_seed(s)) for s in (0, 0))
    assert all(torch.equal(one[n], two[n]) for n in one)
    other = random_scores(weights(), torch.Generator().manual_seed(1))
    assert not torch.equal(other["first"], one["first"])


def funnel() -> nn.Module:
    torch.manual_seed(0)
    widths = (10, 120, 120, 10, 10, 4)
    layers = [nn.Linear(a, b, bias=False) for a, b in pairwise(widths)]
    return nn.Sequential(*[m for layer in layers for m in (layer, nn.ReLU())][:-1])


def test_synflow_needs_rounds() -> None:
    """In one round the largest layer is emptied; in a hundred each keeps some, at the same density."""
    model = funnel()

    def score(mask: Mask | None) -> Scores:
        pruned = funnel()
        if mask is not None:
            mask.apply_(pruned)
        probe = Probe(pruned, {"x": torch.ones(1, 10)}, lambda m, b: m(b["x"]), None, "x")
        return synflow_scores(probe)[0]

    masks = {rounds: in_rounds(score, 0.01, rounds) for rounds in (1, 100)}
    total = sum(p.numel() for p in model.parameters())
    assert masks[1].count == masks[100].count == round(0.01 * total)
    assert min(masks[1].densities().values()) == 0
    assert min(masks[100].densities().values()) > 0


@pytest.mark.parametrize("across", ["model", "layer"])
def test_what_is_gone_stays_gone(across: Across) -> None:
    seen: list[Mask | None] = []

    def score(mask: Mask | None) -> Scores:
        seen.append(mask)
        return random_scores(weights(), torch.Generator().manual_seed(len(seen)))

    last = in_rounds(score, 0.1, 5, across)
    masks = [*[m for m in seen if m is not None], last]
    assert seen[0] is None
    assert len(masks) == 5
    for before, after in pairwise(masks):
        assert all(not bool((after.kept[n] & ~before.kept[n]).any()) for n in after.kept)
    assert [m.density for m in masks] == pytest.approx([0.1 ** (k / 5) for k in range(1, 6)], abs=0.003)


def test_what_cannot_be_chosen_is_refused() -> None:
    scores = {"a": torch.ones(3)}
    for density in (0.0, 1.5, -1.0, float("nan")):
        with pytest.raises(UsageError, match="density: expected more than 0 and at most 1"):
            highest(scores, density)
    with pytest.raises(UsageError, match="'a' has some that are no numbers"):
        highest({"a": torch.tensor([1.0, float("nan")])}, 0.5)
    with pytest.raises(UsageError, match="at least one tensor"):
        highest({}, 0.5)
    with pytest.raises(UsageError, match="rounds: expected at least 1, found 0"):
        in_rounds(lambda mask: scores, 0.5, 0)
