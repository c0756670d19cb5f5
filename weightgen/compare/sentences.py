"""One plain sentence per start; what it claims follows from the intervals, and nothing else does."""

from __future__ import annotations

from dataclasses import dataclass

from weightgen.compare.intervals import Interval
from weightgen.compare.speedup import Speedup
from weightgen.compare.statistics import Summary
from weightgen.publishing.report.numbers import between, change, number, ratio
from weightgen.training.task import Metric


@dataclass(frozen=True)
class Race:
    """What all sentences of one race share."""

    metric: Metric
    baseline: str
    steps: int
    seeds: int

    @property
    def basis(self) -> str:
        """What the intervals rest on."""
        return f"{self.seeds} seeds" if self.seeds > 1 else "1 seed, so over items only"


def sentence(summary: Summary, race: Race) -> str:
    """Say what was found of one start against the baseline, or of the baseline itself."""
    if summary.difference is None:
        level = f"{number(summary.test.low)} to {number(summary.test.high)}"
        return (
            f"ends at a test {race.metric.name} of {number(summary.test.value)} after {race.steps} steps "
            f"(95 % {level}, {race.basis}); the others are held against it"
        )
    speed, difference = summary.speedup, summary.difference
    # What was never reached is below its upper bound, not at it.
    faster, slower = speed.low > 1, speed.high < 1 or (speed.value is None and speed.high <= 1)
    gain = Interval(difference.value, *_oriented(difference, race.metric))
    better, worse = gain.low > 0, gain.high < 0
    if not (faster or slower or better or worse):
        return (
            f"no difference to the {race.baseline} start was found (test {race.metric.name} {_change(difference)}; "
            f"{_in_steps(speed)}; {race.basis})"
        )
    target = f"the {race.baseline} start's final {race.metric.name}"
    if faster:
        first = f"reaches {target} in {_fraction(speed)} the steps ({_range(speed)}, {race.basis})"
    elif slower and speed.value is None:
        first = f"does not reach {target} within the budget ({_range(speed)}, {race.basis})"
    elif slower:
        first = f"needs {_fraction(speed)} the steps to reach {target} ({_range(speed)}, {race.basis})"
    else:
        first = f"no difference in the steps to {target} was found ({_in_steps(speed)}, {race.basis})"
    if better or worse:
        second = f"ends {'better' if better else 'worse'} on test: {race.metric.name} {_change(difference)}"
    else:
        second = f"at the end no difference was found on test: {race.metric.name} {_change(difference)}"
    return f"{first}; {second}"


def _oriented(difference: Interval, metric: Metric) -> tuple[float, float]:
    return (difference.low, difference.high) if metric.higher_is_better else (-difference.high, -difference.low)


def _change(difference: Interval) -> str:
    value, low, high = change(difference.value, difference.low, difference.high)
    return f"{value}, 95 % {low} to {high}"


def _fraction(speed: Speedup) -> str:
    return f"{ratio(1 / (speed.value or 1.0))}x"


def _range(speed: Speedup) -> str:
    """The interval of the steps as a fraction of the baseline's: the inverse of the speed-up's."""
    if speed.low > 0:
        return f"95 % {between(1 / speed.high, 1 / speed.low)}"
    if speed.at_most is not None and speed.high <= speed.at_most:
        return "95 % never within it"
    return f"95 % {ratio(1 / speed.high)}x to never within the budget"


def _in_steps(speed: Speedup) -> str:
    if speed.value is None:
        return f"not reached within the budget, {_range(speed)}"
    return f"{_fraction(speed)} the steps, {_range(speed)}"
