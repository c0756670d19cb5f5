"""Synthetic races whose truth is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from weightgen.compare.results import RaceInfo, StartInfo, assemble
from weightgen.compare.runs import Run
from weightgen.compare.schema import Results
from weightgen.training.task import Metric

ACCURACY = Metric("accuracy", higher_is_better=True)
PERPLEXITY = Metric("perplexity", higher_is_better=False, exponentiate=True)
MARKS = np.array([0, 10, 20, 40, 80, 150, 300, 600, 1000])


def level(steps: Any, speed: float) -> Any:
    """Return the true metric after some steps of a start that learns `speed` times as fast."""
    return 0.9 * (1 - np.exp(-np.asarray(steps, dtype=float) * speed / 400))


def true_speedup(speed: float) -> float:
    """Return the speed-up of the curve as it is measured, linear between marks."""
    return float(1000 / np.interp(level(1000, 1.0), level(MARKS, speed), MARKS))


def runs(
    speeds: Mapping[str, float],
    seeds: int = 5,
    items: int = 200,
    seed_noise: float = 0.01,
    item_noise: float = 0.2,
    pair_noise: float = 0.1,
    seed: int = 0,
) -> list[Run]:
    """Return runs with noise of each run, noise of each item that all runs share, and noise of each pair."""
    generator = np.random.default_rng(seed)
    hard, hard_test = generator.normal(0, item_noise, (2, items))
    made = []
    for name, speed in speeds.items():
        for number in range(seeds):
            luck = generator.normal(0, seed_noise)
            curve = level(MARKS, speed)[:, None] + luck + hard + generator.normal(0, pair_noise, items)
            test = level(1000, speed) + luck + hard_test + generator.normal(0, pair_noise, items)
            made.append(Run(name, number, 1e-3, MARKS, curve, test, seconds=12.5, flops=1e12))
    return made


def as_surprise(found: Sequence[Run]) -> list[Run]:
    """Turn accuracies into surprises, of which less is better and whose exponential is the metric."""
    return [replace(r, curve=2 - r.curve, test=2 - r.test) for r in found]


def results(
    found: Sequence[Run], metric: Metric = ACCURACY, title: str = "Cut out of a larger one", **changes: Any
) -> Results:
    """Return the results of a race whose first start is the random one and whose others are checkpoints."""
    names = list(dict.fromkeys(run.start for run in found))
    trials = ((3e-4, 0.61), (1e-3, 0.68), (3e-3, 0.55))
    starts = [
        StartInfo(
            name=name,
            text="random" if name == names[0] else f"checkpoints/{name}",
            kind="random" if name == names[0] else "checkpoint",
            learning_rate=1e-3,
            trials=trials,
            flops_making=0.0 if name == names[0] else 2.5e11,
            lineage={"method": "selection", "source": {"name": "large", "sha256": "ab" * 32}},
        )
        for name in names
    ]
    race = RaceInfo(
        title=title,
        task="image-classification",
        data="digits",
        metric=metric,
        steps=1000,
        batch_size=64,
        baseline=names[0],
        recipe="task: image-classification\nsteps: 1000\n",
        command="weightgen compare --task digits --steps 1000",
        environment={"weightgen": "0.1.0", "device": "cpu"},
    )
    return assemble(found, starts, replace(race, **changes), draws=300)
