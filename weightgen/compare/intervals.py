"""One bootstrap over seeds and items, the same draws for every start of a race, and intervals from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from weightgen.training.task import Metric

LEVEL = 0.95
NORMAL = 1.959964
"""97.5 % quantile of the normal distribution."""
STUDENT = (12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281)
"""97.5 % quantiles of Student's t with 1 to 10 degrees of freedom."""
BLOCK = 1 << 22  # item weights held at once: 32 MB of them, whatever the number of items
LARGEST_LOG = 300.0  # a diverged run's perplexity stays a number whose square is one too


@dataclass(frozen=True)
class Interval:
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Scores:
    """The scores of one start: `curve` (seeds, marks, items), `test` (seeds, items)."""

    curve: np.ndarray
    test: np.ndarray


@dataclass(frozen=True)
class Rows:
    """The metric of one start, averaged over seeds: `curve` (1 + 3 draws, marks), `test` (1 + 3 draws,).

    Row 0 is what was measured; then `draws` rows each resample seeds and items, seeds alone, and items alone.
    Any statistic is computed on all rows at once and handed to `bounds`. `curve_seeds` (seeds, marks) and `test_seeds`
    (seeds,) are what was measured with each seed.
    """

    curve: np.ndarray
    test: np.ndarray
    curve_seeds: np.ndarray
    test_seeds: np.ndarray


def resample(starts: Mapping[str, Scores], metric: Metric, draws: int, seed: int) -> dict[str, Rows]:
    """Bootstrap all starts with the same seeds and items in each draw, so that every comparison is paired.

    Seeds: n - 1 of the n are drawn with replacement (Rao & Wu 1988, rescaling for small samples; the ordinary bootstrap
    of n would give (n - 1) / n of the variance). One seed cannot vary. Items of the two sets: n of n with replacement.
    """
    first = next(iter(starts.values()))
    count = len(first.test)
    generator = np.random.default_rng(seed)
    by_seed = np.ones((draws, 1))
    if count > 1:
        by_seed = generator.multinomial(count - 1, np.full(count, 1 / count), size=draws) / (count - 1)
    curves = {name: _metric(s.curve.mean(axis=-1), metric) for name, s in starts.items()}
    tests = {name: _metric(s.test.mean(axis=-1), metric) for name, s in starts.items()}
    blocks: dict[str, list[list[tuple[np.ndarray, np.ndarray]]]] = {name: [] for name in starts}
    for weights, validation, test in _item_weights(by_seed, (first.curve.shape[-1], first.test.shape[-1]), generator):
        for name, scores in starts.items():
            seeds, marks, items = scores.curve.shape
            curve = validation @ scores.curve.reshape(seeds * marks, items).T
            drawn = curve.reshape(-1, seeds, marks), (test @ scores.test.T)[..., None]
            blocks[name].append([_both_and_items(weights, _metric(d, metric)) for d in drawn])

    def rows(name: str, measured: np.ndarray, which: int) -> np.ndarray:
        both, items = (np.concatenate([block[which][i] for block in blocks[name]]) for i in (0, 1))
        return np.concatenate([measured.mean(axis=0)[None], both, by_seed @ measured, items])

    return {
        name: Rows(rows(name, curves[name], 0), rows(name, tests[name][:, None], 1)[:, 0], curves[name], tests[name])
        for name in starts
    }


def bounds(rows: np.ndarray, seeds: int, lower: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends of the 95 % intervals of a statistic, (1 + 3 draws, ...) -> two of (...).

    Percentiles of the draws, rescaled about the measured value for two things that they do not know. Resampling both
    factors of a crossed design counts the noise of single (seed, item) pairs three times (Owen 2007, the pigeonhole
    bootstrap); each factor alone counts it once, so twice the sum of those variances less the joint one is right. And
    a handful of seeds tell their own spread badly: Student's t, with Satterthwaite's degrees of freedom, (n - 1) times
    the squared ratio of the whole variance to that over seeds, so that items, of which there are many, stretch nothing.
    In simulated races (tests/test_statistics.py) 93 to 99 of 100 intervals hold the truth, with two seeds 87 to 94.
    `lower`: rows to take the lower end from, where the draws are only bounded from above.
    """
    draws = len(rows) // 3
    value, both = rows[0], rows[1 : 1 + draws]
    joint, over_seeds, over_items = (np.var(rows[1 + i * draws :][:draws], axis=0) for i in range(3))
    least = np.maximum(np.maximum(over_seeds, over_items), joint / 3)
    whole = np.clip(2 * (over_seeds + over_items) - joint, least, np.maximum(joint, least))
    freedom, ratio = np.full(np.shape(value), np.inf), np.ones(np.shape(value))
    np.divide(whole, over_seeds, out=freedom, where=over_seeds > 0)
    np.divide(whole, joint, out=ratio, where=joint > 0)
    scale = np.sqrt(ratio) * student(max(seeds - 1, 1) * np.maximum(freedom, 1.0) ** 2) / NORMAL
    floor = NORMAL * np.sqrt(joint) if seeds == 2 else 0.0  # two seeds give no percentiles but themselves
    tail = (1 - LEVEL) / 2
    below = np.quantile(both if lower is None else lower[1 : 1 + draws], tail, axis=0, method="inverted_cdf")
    above = np.quantile(both, 1 - tail, axis=0, method="inverted_cdf")
    return value - scale * np.maximum(value - below, floor), value + scale * np.maximum(above - value, floor)


def interval(rows: np.ndarray, seeds: int) -> Interval:
    """Return a scalar statistic, (1 + 3 draws,), with its interval."""
    low, high = bounds(rows, seeds)
    return Interval(float(rows[0]), float(low), float(high))


def student(freedom: np.ndarray) -> np.ndarray:
    """Return 97.5 % quantiles of Student's t, interpolated in 1 / freedom (wider than the truth below 3)."""
    inverse = [0.0, *(1 / n for n in range(len(STUDENT), 0, -1))]
    return np.asarray(np.interp(1 / np.maximum(freedom, 1.0), inverse, [NORMAL, *reversed(STUDENT)]))


def _metric(mean: np.ndarray, metric: Metric) -> np.ndarray:
    return np.exp(np.minimum(mean, LARGEST_LOG)) if metric.exponentiate else mean


def _both_and_items(weights: np.ndarray, drawn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Average draws of items over drawn seeds, and over all: (block, seeds), (block, seeds, n) -> two (block, n)."""
    return np.einsum("bs,bsn->bn", weights, drawn), drawn.mean(axis=1)


def _item_weights(
    by_seed: np.ndarray, sizes: tuple[int, int], generator: np.random.Generator
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield blocks of draws: weights of seeds (block, seeds), validation items and test items (block, items)."""
    step = max(1, BLOCK // max(sizes))
    for start in range(0, len(by_seed), step):
        weights = by_seed[start : start + step]
        items = [generator.multinomial(n, np.full(n, 1 / n), size=len(weights)) / n for n in sizes]
        yield weights, items[0], items[1]
