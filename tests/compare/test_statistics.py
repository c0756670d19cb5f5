"""Statistics of races whose truth is known: intervals cover it, and sentences say no more than the intervals."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from tests.compare.races import ACCURACY, MARKS, PERPLEXITY, as_surprise, level, results, runs, true_speedup
from weightgen.compare.intervals import student
from weightgen.compare.requirement import meets
from weightgen.compare.runs import Run
from weightgen.compare.speedup import steps_to
from weightgen.compare.statistics import summarise
from weightgen.errors import UsageError

RACE = {"random": 1.0, "fast": 3.0, "slow": 0.4}
QUIET = {"seed_noise": 0.0, "item_noise": 0.0, "pair_noise": 0.0}


def sentences(found: list[Run], metric=ACCURACY) -> dict[str, str]:
    return {s["name"]: s["sentence"] for s in results(found, metric)["starts"]}


@pytest.mark.parametrize("seeds, seed_noise, pair_noise", [(2, 0.02, 0.1), (3, 0.02, 0.1), (5, 0.02, 0.1), (5, 0, 0.4)])
def test_intervals_cover_the_truth(seeds: int, seed_noise: float, pair_noise: float) -> None:
    races, hits = 120, np.zeros(4)
    for number in range(races):
        noise = {"seed_noise": seed_noise, "pair_noise": pair_noise}
        found = summarise(runs({"random": 1.0, "fast": 2.0}, seeds, 150, **noise, seed=number), ACCURACY, "random", 400)
        fast = found["fast"]
        assert fast.difference is not None
        hits += [
            fast.speedup.low <= true_speedup(2.0) <= fast.speedup.high,
            fast.difference.low <= level(1000, 2.0) - level(1000, 1.0) <= fast.difference.high,
            fast.test.low <= level(1000, 2.0) <= fast.test.high,
            fast.curve.low[3] <= level(MARKS[3], 2.0) <= fast.curve.high[3],
        ]
    # Less three standard errors of 120 simulated races. Two seeds that happen to agree promise too much, and the
    # ordinary bootstrap of two or three seeds is far below either.
    nominal = 0.95 if seeds > 2 else 0.9
    assert (hits / races > nominal - 3 * np.sqrt(nominal * (1 - nominal) / races)).all(), hits / races


def test_intervals_are_not_wider_than_they_need_be() -> None:
    found = summarise(runs({"random": 1.0}, 5, 400, seed_noise=0.0, item_noise=0.0, pair_noise=0.4), ACCURACY, "random")
    known = 2 * 1.96 * 0.4 / np.sqrt(5 * 400)
    assert 0.7 * known < found["random"].test.high - found["random"].test.low < 1.6 * known


def test_speedup_without_noise_is_exact() -> None:
    found = summarise(runs(RACE, **QUIET), ACCURACY, "random")
    assert found["random"].speedup.value == 1
    for fast in (found["fast"].speedup, found["fast"].speedup_best):
        assert fast.value == pytest.approx(true_speedup(3.0))
        assert fast.low == pytest.approx(fast.value)
        assert fast.high == pytest.approx(fast.value)
    slow = found["slow"].speedup
    assert (slow.value, slow.steps, slow.at_most, slow.low) == (None, None, 1.0, 0.0)
    milestones = found["fast"].milestones
    assert [milestones[w].value for w in ("0", "1 %", "10 %", "100 %")] == pytest.approx(
        [0, level(10, 3.0), np.interp(100, MARKS, level(MARKS, 3.0)), level(1000, 3.0)]
    )


def test_sentences_of_clear_races() -> None:
    said = sentences(runs(RACE))
    assert said["random"].startswith("ends at a test accuracy of 0.8")
    assert said["fast"].startswith("reaches the random start's final accuracy in 0.3")
    assert "5 seeds); ends better on test: accuracy +0.0" in said["fast"]
    assert said["slow"].startswith("does not reach the random start's final accuracy within the budget (95 % never")
    assert "ends worse on test: accuracy -0.2" in said["slow"]


def test_equal_starts_show_no_difference() -> None:
    one = runs({"random": 1.0})
    twin = [replace(run, start="twin") for run in one]
    found = summarise([*one, *twin], ACCURACY, "random")["twin"]
    assert found.difference is not None
    assert (found.difference.value, found.difference.low, found.difference.high) == (0, 0, 0)
    assert (found.speedup.value, found.speedup.low, found.speedup.high) == (1, 1, 1)
    assert sentences([*one, *twin])["twin"].startswith("no difference to the random start was found (")


def test_starts_equal_but_for_luck_are_rarely_told_apart() -> None:
    wrong = sum(not sentences(runs({"a": 1.0, "b": 1.0}, seed=n))["b"].startswith("no difference") for n in range(40))
    assert wrong <= 8  # two intervals of 95 % each: at most 4 expected


def test_falling_metrics() -> None:
    found = results(as_surprise(runs(RACE)), PERPLEXITY)
    random, fast, slow = found["starts"]
    assert fast["speedup"]["value"] == pytest.approx(true_speedup(3.0), rel=0.3)
    assert fast["difference"] is not None
    assert fast["difference"]["high"] < 0
    assert "ends better on test: perplexity -" in fast["sentence"]
    assert "ends worse on test: perplexity +" in slow["sentence"]
    assert random["test"]["value"] == pytest.approx(np.exp(2 - level(1000, 1.0)), rel=0.1)
    assert meets(found, "fast:difference.high<0")[0]


def test_a_start_that_is_there_already() -> None:
    found = summarise(runs({"random": 1.0, "ready": 1e9}, **QUIET), ACCURACY, "random")["ready"]
    assert found.speedup.steps is not None
    assert found.speedup.steps <= 10
    there = [replace(r, curve=r.curve + 1) if r.start == "ready" else r for r in runs({"random": 1.0, "ready": 1.0})]
    found = summarise(there, ACCURACY, "random")["ready"]
    assert found.speedup.steps == 1
    assert found.speedup.value == pytest.approx(1000, rel=0.2)


def test_crossings() -> None:
    marks = np.array([0.0, 10.0, 20.0])
    curves = np.array([[0, 1, 2], [0, 0, 0], [5, 0, 0], [0, 2, 2], [1, 1, 1 + 1e-15]])
    targets = np.array([1.5, 1.0, 5.0, 2.0, 1.0 + 1e-15])
    assert steps_to(marks, curves, targets).tolist() == [15, np.inf, 1, 10, 1]


def test_intervals_end_where_the_metric_does() -> None:
    found = runs({"random": 1.0, "ours": 4.0}, seeds=3, seed_noise=0.2)
    free = summarise(found, ACCURACY, "random")["ours"]
    assert free.test.high > 1
    assert free.curve.low[0] < 0
    held = summarise(found, replace(ACCURACY, limits=(0.0, 1.0)), "random")["ours"]
    assert held.test.high == held.milestones["100 %"].high == 1
    assert held.curve.low[0] == 0
    assert held.test.value == free.test.value


def test_one_seed_covers_items_only() -> None:
    found = results(runs({"random": 1.0, "fast": 3.0}, seeds=1))
    assert found["interval"]["over"] == "items"
    assert "1 seed, so over items only" in found["starts"][1]["sentence"]
    assert found["starts"][1]["test"]["low"] < found["starts"][1]["test"]["high"]


def test_a_control_with_a_longer_budget() -> None:
    found = runs({"random": 1.0, "long": 1.0}, **QUIET)
    far = np.array([0, 50, 500, 1000, 4000])
    longer = [
        replace(r, marks=far, curve=np.repeat(level(far, 0.5)[:, None], r.curve.shape[1], axis=1))
        if r.start == "long"
        else r
        for r in found
    ]
    long = summarise(longer, ACCURACY, "random")["long"]
    assert long.milestones["100 %"].value == pytest.approx(level(1000, 0.5))  # of the race's budget
    assert long.speedup.value is not None
    assert 1000 < (long.speedup.steps or 0) < 4000
    assert long.speedup.high < 1


def test_divergence_gives_numbers() -> None:
    bad = [
        replace(r, curve=np.full_like(r.curve, 1e38), test=np.full_like(r.test, 1e38), diverged=3)
        if (r.start, r.seed) == ("fast", 0)
        else r
        for r in as_surprise(runs(RACE))
    ]
    found = results(bad, PERPLEXITY)  # refuses numbers that are not finite
    assert found["starts"][1]["diverged"] == [0]


def test_runs_that_do_not_fit_are_refused() -> None:
    found = runs({"random": 1.0, "fast": 3.0})
    with pytest.raises(ValueError, match="start 'fast' does not have the seeds and items"):
        summarise(found[:-1], ACCURACY, "random")
    with pytest.raises(ValueError, match="no run of the baseline 'rnd'"):
        summarise(found, ACCURACY, "rnd")
    with pytest.raises(ValueError, match="start 'random', seed 0: a score is not finite"):
        summarise([replace(found[0], test=found[0].test * np.nan), *found[1:]], ACCURACY, "random")


def test_student() -> None:
    assert student(np.array([1.0, 4.0, 10.0, 1e12])) == pytest.approx([12.7062, 2.7764, 2.2281, 1.96], abs=1e-4)
    assert float(student(np.array(30.0))) == pytest.approx(2.0423, abs=0.01)


@pytest.mark.parametrize(
    "requirement, met, text",
    [
        ("speedup>=2", True, r"fast: speedup is [\d.]+, wanted >= 2: met"),
        ("speedup.low > 50", False, "not met"),
        ("slow:speedup>=0.1", False, r"slow: speedup is less than 1.0 \(never reached within the budget\)"),
        ("slow:speedup<1", True, "less than 1"),
        ("slow:speedup.high<1", True, "less than 1"),
        ("slow:difference.high<-0.1", True, "slow: difference.high is -0.2"),
        ("random:final<=1e0", True, "random: final is 0.8"),
    ],
)
def test_requirements(requirement: str, met: bool, text: str) -> None:
    found = results(runs(RACE))
    verdict, line = meets(found, requirement)
    assert verdict is met
    assert re.search(text, line), line
    assert "\n" not in line


@pytest.mark.parametrize(
    "requirement, message",
    [
        ("speedp>=2", "unknown measure 'speedp'.*Did you mean 'speedup'"),
        ("fats:speedup>=2", "unknown start 'fats'; known: random, fast, slow.*Did you mean 'fast'"),
        ("speedup=2", "expected .START:.MEASURE OP NUMBER"),
        ("speedup>=nan", "expected"),
        ("speedup>=", "expected"),
        ("random:difference>0", "'random' is the baseline"),
    ],
)
def test_requirements_that_say_nothing(requirement: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        meets(results(runs(RACE)), requirement)


def test_a_race_of_controls_needs_a_name() -> None:
    with pytest.raises(UsageError, match="every start is a control"):
        meets(results(runs({"random": 1.0})), "speedup>=2")
