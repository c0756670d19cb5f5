"""What a fit recipe asks for: how to fit, by which conventions, and the fits of all its signals, some at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np
import torch

from weightgen.console import Progress
from weightgen.errors import UsageError
from weightgen.inr.fits import Fits, FittedSignal, joined
from weightgen.inr.fitting import Adaptation, Fitted
from weightgen.inr.signals import make_kind
from weightgen.inr.signals.kind import Signal
from weightgen.inr.start import Start
from weightgen.recipe.fields import FitRecipe

CURVE = 200  # marks at most: scoring costs a third of a step


@dataclass(frozen=True)
class Fit:
    """The fits of signals, and how they came about."""

    fits: Fits
    curve: dict[int, np.ndarray]
    """The metric (signals,) after so many steps."""
    diverged: list[str]
    """Names of the signals whose loss became infinite: what was kept of them is the best before."""


def fit_all(start: Start, signals: list[Signal], recipe: FitRecipe, adaptation: Adaptation, progress: Progress) -> Fit:
    """Fit every signal from a start; fits come back on the CPU, where drawing and saving want no accelerator."""
    fits: list[Fits] = []
    curves: list[dict[int, np.ndarray]] = []
    diverged: list[str] = []
    groups = list(_groups(start, signals, recipe.batch_size))
    start.field.to(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    for number, group in enumerate(groups):
        run = _fit(start, group, recipe, adaptation, part_of(progress, number, len(groups)))
        fits.append(_named(start, group, run, recipe.steps))
        curves.append(run.curve)
        diverged += [s.name for s, lost in zip(group, run.diverged, strict=True) if lost]
    start.field.cpu()
    steps = set.intersection(*(set(c) for c in curves))  # what diverged has fewer
    curve = {step: np.concatenate([c[step] for c in curves]) for step in sorted(steps)}
    return Fit(joined(fits), curve, diverged)


def adaptation_of(recipe: FitRecipe, start: Start) -> Adaptation:
    """Return how to fit; raises UsageError where the recipe's optimizer and rate do not go together."""
    if recipe.optimizer == "recommended":
        if recipe.rate is not None:
            raise UsageError("--rate wants to know of which: add --optimizer sgd or --optimizer adam")
        return start.advice(recipe.steps)
    if recipe.rate is None:
        raise UsageError(f"--optimizer {recipe.optimizer} needs a --rate")
    return Adaptation(optimizer=recipe.optimizer, rate=recipe.rate)


def with_conventions(start: Start, changed: Mapping[str, Any]) -> Start:
    """Return a start whose signals are read by other conventions: fewer views, another crop."""
    conventions = {**start.kind.config.model_dump(mode="json"), **changed}
    kind = make_kind(start.kind.name, conventions)
    if (kind.inputs, kind.outputs) != (start.kind.inputs, start.kind.outputs):
        raise UsageError(
            f"--signal-args: signals of {kind.outputs} values at {kind.inputs} coordinates, "
            f"the start is for {start.kind.outputs} at {start.kind.inputs}"
        )
    return replace(start, kind=kind) if changed else start


def part_of(progress: Progress, number: int, total: int) -> Progress:
    """Return progress for one of several equal pieces of work."""
    return lambda done, steps, words="": progress(number * steps + done, total * steps, words)


def _groups(start: Start, signals: list[Signal], size: int) -> Iterator[list[Signal]]:
    """Yield signals of equal shape together, at most `size` at a time."""

    def key(signal: Signal) -> list[int]:
        return [start.kind.count(signal), *start.kind.shape(signal)]

    for _, group in groupby(sorted(signals, key=key), key):
        alike = list(group)
        for first in range(0, len(alike), size):
            yield alike[first : first + size]


def _fit(start: Start, group: list[Signal], recipe: FitRecipe, adaptation: Adaptation, progress: Progress) -> Fitted:
    marks = {0, recipe.steps}
    if recipe.curve:
        marks |= set(np.linspace(0, recipe.steps, CURVE).round().astype(int).tolist())
    return start.fit(
        group, recipe.steps, adaptation, points=recipe.points, seed=recipe.seed, marks=marks, progress=progress
    )


def _named(start: Start, group: list[Signal], run: Fitted, steps: int) -> Fits:
    scores = [float(s) if np.isfinite(s) else None for s in run.final]
    named = [
        FittedSignal(name=s.name, shape=start.kind.shape(s), scale=s.scale, score=score)
        for s, score in zip(group, scores, strict=True)
    ]
    return Fits(start.field, start.kind, {n: t.cpu() for n, t in run.tensors.items()}, named, steps)
