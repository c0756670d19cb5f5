"""How many steps one start needs for what another reaches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from weightgen.compare.intervals import bounds

ROUNDING = 1e-12  # relative: equal curves that were added up in another order are equal


@dataclass(frozen=True)
class Speedup:
    """Steps of the baseline over steps of this start, with the 95 % interval (`low` 0: perhaps never reached).

    Where the target was never reached, `value` and `steps` are None and the speed-up is less than `at_most`.
    """

    value: float | None
    low: float
    high: float
    at_most: float | None
    steps: float | None


def steps_to(marks: np.ndarray, curves: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return the steps at which rising curves first reach their targets: (marks,), (n, marks), (n,) -> (n,).

    Linear between marks; at least 1, since a start that needs no training is compared as one that needs a step;
    infinite where the target is never reached.
    """
    reached = curves >= (targets - ROUNDING * np.abs(targets))[:, None]
    after = np.argmax(reached, axis=1)
    before = np.maximum(after - 1, 0)
    rows = np.arange(len(curves))
    rise = curves[rows, after] - curves[rows, before]
    part = np.ones(len(curves))
    np.divide(targets - curves[rows, before], rise, out=part, where=rise > 0)
    steps = marks[before] + np.clip(part, 0.0, 1.0) * (marks[after] - marks[before])
    return np.where(reached.any(axis=1), np.maximum(steps, 1.0), np.inf)


def speedup(
    marks: np.ndarray, curves: np.ndarray, baseline_steps: np.ndarray, targets: np.ndarray, seeds: int
) -> Speedup:
    """Compare the rows of a rising curve with the steps after which the baseline reaches the same targets.

    On curves averaged over seeds: a single noisy curve crosses any target too early, by luck, and the average of such
    crossings would be a speed-up of the luckier start.
    """
    steps = steps_to(marks, curves, targets)
    # Log scale: 2x and 0.5x are equally far from 1. What was not reached is bounded on one side only.
    upper = np.log(baseline_steps) - np.log(np.minimum(steps, max(float(marks[-1]), 1.0)))
    low, high = bounds(upper, seeds, lower=np.where(np.isfinite(steps), upper, -np.inf))
    ends = float(np.exp(low)), float(np.exp(np.minimum(high, 700.0)))
    ratio = float(np.exp(upper[0]))
    if np.isfinite(steps[0]):
        return Speedup(ratio, *ends, None, float(steps[0]))
    return Speedup(None, *ends, ratio, None)
