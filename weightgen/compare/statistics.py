"""What the runs of a race say about each start, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from weightgen.compare.intervals import Interval, Rows, Scores, bounds, interval, resample
from weightgen.compare.runs import Run
from weightgen.compare.speedup import ROUNDING, Speedup, speedup, steps_to
from weightgen.training.task import Metric

MILESTONES = {"0": 0.0, "1 %": 0.01, "10 %": 0.1, "100 %": 1.0}
"""Parts of the baseline's budget at which every start's validation metric is told."""
DRAWS = 1000


@dataclass(frozen=True)
class Curve:
    """Validation metric at each mark: mean over seeds and its 95 % band (marks,), and each seed (seeds, marks)."""

    steps: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    seeds: np.ndarray


@dataclass(frozen=True)
class Summary:
    """One start of a race; `difference` (this start minus baseline, in the metric's units) is None for the baseline."""

    curve: Curve
    milestones: Mapping[str, Interval]
    test: Interval
    test_seeds: tuple[float, ...]
    difference: Interval | None
    speedup: Speedup
    """To the baseline's final validation metric."""
    speedup_best: Speedup
    """To the best validation metric on the baseline's curve."""


def summarise(
    runs: Sequence[Run], metric: Metric, baseline: str, draws: int = DRAWS, seed: int = 0
) -> dict[str, Summary]:
    """Return what the runs say about each start, in the order in which the starts first occur.

    All intervals come from one bootstrap (see `intervals.resample`); with one seed they cover items only.
    Raises ValueError where the starts do not share seeds and items, or a score is not finite.
    """
    grouped = _grouped(runs)
    if baseline not in grouped:
        raise ValueError(f"no run of the baseline '{baseline}', only of {', '.join(grouped)}")
    scores = {n: Scores(_stack([r.curve for r in g]), _stack([r.test for r in g])) for n, g in grouped.items()}
    rows = resample(scores, metric, draws, seed)
    marks = {n: np.asarray(g[0].marks, dtype=np.float64) for n, g in grouped.items()}
    count = len(grouped[baseline])
    sign = 1.0 if metric.higher_is_better else -1.0
    random = sign * rows[baseline].curve
    targets = {"final": random[:, -1], "best": random.max(axis=1)}
    needed = {word: steps_to(marks[baseline], random, target) for word, target in targets.items()}

    def summary(name: str) -> Summary:
        own, at = rows[name], marks[name]
        low, high = np.clip(bounds(own.curve, count), *metric.limits)
        fast = {w: speedup(at, sign * own.curve, needed[w], targets[w], count) for w in targets}
        return Summary(
            curve=Curve(at, own.curve[0], low, high, own.curve_seeds),
            milestones={
                word: _within(found, metric)
                for word, found in _milestones(own, at, float(marks[baseline][-1]), count).items()
            },
            test=_within(interval(own.test, count), metric),
            test_seeds=tuple(map(float, own.test_seeds)),
            difference=None if name == baseline else interval(_difference(own, rows[baseline]), count),
            speedup=fast["final"],
            speedup_best=fast["best"],
        )

    return {name: summary(name) for name in grouped}


def _grouped(runs: Sequence[Run]) -> dict[str, list[Run]]:
    grouped: dict[str, list[Run]] = {}
    for run in sorted(runs, key=lambda r: r.seed):
        grouped.setdefault(run.start, []).append(run)
    grouped = {run.start: grouped[run.start] for run in runs}
    shared = [(r.seed, r.curve.shape[-1], r.test.shape[-1]) for r in next(iter(grouped.values()), [])]
    for name, group in grouped.items():
        if [(r.seed, r.curve.shape[-1], r.test.shape[-1]) for r in group] != shared:
            raise ValueError(f"start '{name}' does not have the seeds and items of the others")
        for run in group:
            if not np.array_equal(run.marks, group[0].marks) or len(run.curve) != len(run.marks):
                raise ValueError(f"start '{name}', seed {run.seed}: marks and curve do not fit the other seeds")
            if not (np.isfinite(run.curve).all() and np.isfinite(run.test).all()):
                raise ValueError(f"start '{name}', seed {run.seed}: a score is not finite")
    return grouped


def _stack(scores: Sequence[np.ndarray]) -> np.ndarray:
    return np.stack(scores).astype(np.float64)


def _within(found: Interval, metric: Metric) -> Interval:
    """Return an interval that ends where the metric does."""
    least, most = metric.limits
    return Interval(found.value, max(found.low, least), min(found.high, most))


def _milestones(rows: Rows, marks: np.ndarray, budget: float, seeds: int) -> dict[str, Interval]:
    unit = np.eye(len(marks))  # interpolation is linear: one matrix serves all rows
    at = np.array(list(MILESTONES.values())) * budget
    matrix = np.stack([np.interp(at, marks, row) for row in unit])
    values = rows.curve @ matrix
    return {word: interval(values[:, i], seeds) for i, word in enumerate(MILESTONES)}


def _difference(rows: Rows, baseline: Rows) -> np.ndarray:
    difference = rows.test - baseline.test
    return np.where(np.abs(difference) <= ROUNDING * np.abs(baseline.test), 0.0, difference)
