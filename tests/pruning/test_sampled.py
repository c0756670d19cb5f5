"""Sampled masks: an exact density, the right probabilities, and no bias after rescaling."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from weightgen.errors import UsageError
from weightgen.pruning.sampled import probabilities, rescaled, sampled


def scores(seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {n: torch.randn(s, generator=generator).abs() ** 3 for n, s in (("a", (6, 5)), ("b", (20,)))}


@settings(max_examples=60, deadline=None)
@given(density=st.floats(0.02, 1), seed=st.integers(0, 9999))
def test_density_is_exact(density: float, seed: int) -> None:
    chances = probabilities(scores(seed), density)
    assert all(bool(((p > 0) & (p <= 1)).all()) for p in chances.values())
    assert sum(float(p.sum()) for p in chances.values()) == pytest.approx(round(50 * density))
    assert sampled(chances, torch.Generator().manual_seed(seed)).count == round(50 * density)


def test_probabilities_follow_the_scores_up_to_one() -> None:
    chances = probabilities({"a": torch.tensor([1.0, 2.0, 3.0, 4.0])}, 0.5)["a"]
    torch.testing.assert_close(chances, torch.tensor([0.2, 0.4, 0.6, 0.8], dtype=torch.float64))
    chances = probabilities({"a": torch.tensor([1.0, 1.0, 2.0, 100.0])}, 0.5)["a"]
    torch.testing.assert_close(chances, torch.tensor([0.25, 0.25, 0.5, 1.0], dtype=torch.float64))


def test_the_rescaled_sample_is_unbiased() -> None:
    found, generator, draws = scores(), torch.Generator().manual_seed(0), 4000
    weights = {n: torch.randn(s.shape, generator=generator, dtype=torch.float64) for n, s in found.items()}
    chances = probabilities(found, 0.3)
    kept = {n: torch.zeros_like(w) for n, w in weights.items()}
    mean = {n: torch.zeros_like(w) for n, w in weights.items()}
    for _ in range(draws):
        mask = sampled(chances, generator)
        for name, values in rescaled(weights, mask, chances).items():
            kept[name] += mask.kept[name].double() / draws
            mean[name] += values / draws
    for name, p in chances.items():
        error = (p * (1 - p) / draws).sqrt()
        assert bool(((kept[name] - p).abs() <= 5 * error + 1e-12).all())
        assert bool(((mean[name] - weights[name]).abs() <= weights[name].abs() * 5 * error / p + 1e-12).all())
    # The mask without its probabilities shrinks every weight that it may drop.
    plain = {n: kept[n] * weights[n] for n in weights}
    assert sum(float(v.abs().sum()) for v in plain.values()) < 0.5 * sum(float(w.abs().sum()) for w in weights.values())


def test_samples_are_seeded_and_differ() -> None:
    chances = probabilities(scores(), 0.3)
    one, two, other = (sampled(chances, torch.Generator().manual_seed(s)) for s in (0, 0, 1))
    assert torch.equal(one.kept["a"], two.kept["a"])
    assert any(not torch.equal(one.kept[n], other.kept[n]) for n in one.kept)


def test_scores_that_give_no_probabilities_are_refused() -> None:
    with pytest.raises(UsageError, match="finite and not negative"):
        probabilities({"a": torch.tensor([1.0, -1.0])}, 0.5)
    with pytest.raises(UsageError, match=r"1 of 4 entries have a score above 0, fewer than the 2 of density 0.5"):
        probabilities({"a": torch.tensor([1.0, 0.0, 0.0, 0.0])}, 0.5)
