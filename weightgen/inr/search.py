"""Test-time search: which rate, and how many steps, to recommend for a budget. By Bayesian optimisation."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Literal

import numpy as np

from weightgen.console import Progress
from weightgen.inr.fitting import Adaptation
from weightgen.inr.signals.kind import Signal
from weightgen.inr.start import Recommended, Start

BUDGETS = (1, 2, 5, 10, 50, 200)
LONG = 50  # steps from which a budget gets a third of the trials: they are what the search spends its time on
POINTS = 8192  # points of the field that a step of a long trial evaluates for a signal
RATES = (1e-3, 1e-4)  # of Adam, where nothing was learned
EVERY = 1 << 16  # learned steps: all that there are
FEW = 3  # signals that long trials fit
JUDGED = 8192  # points of a signal that a trial is judged on


def recommend(
    start: Start,
    signals: Sequence[Signal],
    budgets: Sequence[int] = BUDGETS,
    trials: int = 12,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[int, Recommended]:
    """Return for each budget the way of fitting that scores best on validation signals, and after how many steps.

    Hendryx et al. 2019 choose the test-time rate and the number of steps on held-out tasks; here the choice is made
    for each budget by tree-structured Parzen estimators (Bergstra et al. 2011, optuna's): the factor of the learned
    rates and how many steps use them, their momentum, then SGD or Adam and its rate. Long trials look at some thousand
    observations of a few signals.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    counts = {b: trials if b < LONG else max(3, trials // 3) for b in budgets}
    done, total = 0, sum(counts.values())
    found: dict[int, Recommended] = {}
    for budget in budgets:
        best: Recommended | None = None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # optuna marks half of what it has as experimental
            sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=max(2, counts[budget] // 3))
            study = optuna.create_study(direction="maximize", sampler=sampler)
        # First what the start was learned with, or Adam's usual rates, and what was best for fewer steps.
        known = [Adaptation(learned_steps=EVERY, rate=rate) for rate in RATES[: 1 if start.rates is not None else None]]
        known += [found[max(found)].adaptation] if found else []
        # Rates of a few steps on all observations are too high for many on some of them (benchmarks/inr.md).
        known += [Adaptation(learned_steps=EVERY, scale=0.5)] if start.rates is not None and budget >= LONG else []
        for adaptation in known:
            study.enqueue_trial(_words(adaptation), skip_if_exists=True)
        for _ in range(counts[budget]):
            trial = study.ask()
            adaptation = _suggested(trial, start, budget)
            curve = _curve(start, signals[:FEW] if budget >= LONG else signals, adaptation, budget, seed)
            steps = max(curve, key=lambda s: curve[s])
            study.tell(trial, curve[steps])
            if best is None or curve[steps] > best.score:
                best = Recommended(steps=steps, adaptation=adaptation, score=round(curve[steps], 4))
            done += 1
            if progress is not None:
                progress(done, total, f"{budget} steps: {start.kind.metric.name} {best.score:.2f}")
        assert best is not None
        found[budget] = best
    return found


def _suggested(trial: object, start: Start, budget: int) -> Adaptation:
    import optuna

    assert isinstance(trial, optuna.trial.Trial)
    learned, scale, momentum = 0, 1.0, 0.0
    if start.rates is not None:
        learned = trial.suggest_categorical("learned_steps", [start.inner_steps, EVERY, 0])
        scale = trial.suggest_float("scale", 0.25, 2.0, log=True)
        momentum = trial.suggest_float("momentum", 0.0, 0.9) if budget > 1 else 0.0
    optimizer: Literal["adam", "sgd"] = "adam" if trial.suggest_categorical("adam", [True, False]) else "sgd"
    low, high = (1e-5, 3e-2) if optimizer == "adam" else (1e-3, 10.0)
    rate = trial.suggest_float(f"{optimizer}_rate", low, high, log=True)
    return Adaptation(
        learned_steps=learned,
        scale=scale,
        momentum=momentum,
        optimizer=optimizer,
        rate=rate,
    )


def _words(adaptation: Adaptation) -> dict[str, float | int | str]:
    """Return an adaptation as the trial that would have suggested it."""
    return {
        "learned_steps": adaptation.learned_steps,
        "scale": adaptation.scale,
        "momentum": adaptation.momentum,
        "adam": adaptation.optimizer == "adam",
        f"{adaptation.optimizer}_rate": adaptation.rate,
    }


def _curve(start: Start, signals: Sequence[Signal], adaptation: Adaptation, budget: int, seed: int) -> dict[int, float]:
    """Return the mean metric after each marked number of steps up to the budget."""
    marks = [s for s in (*range(11), 15, 20, 30, 40, 50, 75, 100, 150, 200, 500, 1000) if s <= budget]
    marks = sorted({*marks[-6:], budget})
    scores: dict[int, list[float]] = {m: [] for m in marks}
    for signal in signals:
        whole = start.kind.standard(signal)
        # Few steps want all observations: what they can reach depends on how many there are.
        few = POINTS * start.kind.count(whole) // start.kind.points(whole) if budget >= LONG else 0
        run = start.fit([whole], budget, adaptation, points=few, seed=seed, marks=marks, most=JUDGED)
        for mark in marks:
            value = float(run.curve[mark][0]) if mark in run.curve and not run.diverged[0] else np.nan
            scores[mark].append(value if np.isfinite(value) else -1e3)
    return {m: float(np.mean(v)) for m, v in scores.items()}
