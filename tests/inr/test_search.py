"""The search for how to fit: what it tries first, what it recommends of what it tried."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from weightgen.inr import search
from weightgen.inr.config import field_config
from weightgen.inr.field import Field
from weightgen.inr.fitting import Adaptation
from weightgen.inr.search import EVERY, FEW, recommend
from weightgen.inr.signals import make_kind
from weightgen.inr.signals.kind import Signal
from weightgen.inr.start import Start


class Tried:
    """In place of fits: what was to be fitted, scored by a formula."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, int, Adaptation]] = []

    def __call__(
        self, start: Start, signals: Sequence[Signal], adaptation: Adaptation, budget: int, seed: int
    ) -> dict[int, float]:
        self.calls.append((budget, len(signals), adaptation))
        best = 10 - abs(adaptation.scale - 0.5) - (5 if adaptation.learned_steps == 0 else 0)
        return {step: best - 0.01 * abs(step - 7) for step in range(budget + 1)}  # seven steps are enough


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> Tried:
    found = Tried()
    monkeypatch.setattr(search, "_curve", found)
    return found


def start(learned: bool) -> Start:
    field = Field(field_config("siren", {"hidden": 8, "hidden_layers": 2}), 0)
    rates = torch.full((2, len(list(field.parameters()))), 0.1) if learned else None
    return Start(field, make_kind("image", {}), 2, rates)


SIGNALS = [Signal(str(i), torch.zeros(4, 4, 3)) for i in range(5)]


def test_what_was_learned_is_tried_first_and_long_fits_at_half_its_rates(tried: Tried) -> None:
    found = recommend(start(True), SIGNALS, (2, 100), trials=9)
    few = [(signals, way) for budget, signals, way in tried.calls if budget == 2]
    many = [(signals, way) for budget, signals, way in tried.calls if budget == 100]
    assert [len(few), len(many)] == [9, 3]  # long trials are a third, of a few signals
    assert {n for n, _ in few} == {5}
    assert {n for n, _ in many} == {FEW}
    whole, half = Adaptation(learned_steps=EVERY), Adaptation(learned_steps=EVERY, scale=0.5)
    assert few[0][1] == whole
    assert [way for _, way in many] == [whole, found[2].adaptation, half]


def test_a_start_without_rates_is_tried_with_those_of_adam(tried: Tried) -> None:
    recommend(start(False), SIGNALS, (2,), trials=3)
    assert [way.rate for _, _, way in tried.calls[:2]] == list(search.RATES)
    assert {way.learned_steps for _, _, way in tried.calls} == {0}


def test_the_best_of_all_trials_is_recommended_with_its_best_step(tried: Tried) -> None:
    found = recommend(start(True), SIGNALS, (2, 10), trials=8)
    assert [found[b].steps for b in (2, 10)] == [2, 7]
    for budget in (2, 10):
        best = max(
            -abs(way.scale - 0.5) - (5 if way.learned_steps == 0 else 0) for b, _, way in tried.calls if b == budget
        )
        assert found[budget].score == pytest.approx(10 + best - 0.01 * abs(found[budget].steps - 7), abs=1e-4)
    first = list(tried.calls)
    tried.calls.clear()
    assert recommend(start(True), SIGNALS, (2, 10), trials=8) == found
    assert tried.calls == first  # the same seed tries the same
