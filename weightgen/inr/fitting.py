"""Fitting fields to signals: many at once, step by step, in bounded memory, never worse than the best step seen."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from pydantic import Field as Limits
from torch import Tensor

from weightgen.console import Progress
from weightgen.inr.config import Strict
from weightgen.inr.derivatives import Autograd, Batch, Derivatives, Parts
from weightgen.inr.field import Field, Tensors
from weightgen.inr.manual_gradients import ByHand
from weightgen.inr.signals.kind import Evaluate, Kind, Signal

MANY = 1 << 16  # points of the field that a step evaluates for a signal, where nobody says how many
LOADED = 1 << 15  # points in memory at a time, over all tasks
EVALUATED = 1 << 21  # numbers of a layer at a time, over all tasks, where no gradient is kept: more leave the cache


class Adaptation(Strict):
    """How to fit from a start: gradient descent with its learned rates first, where it has any, then an optimizer."""

    learned_steps: int = Limits(0, ge=0)
    """Steps made with the learned rates; the rates of the last learned step serve all further ones."""
    scale: float = Limits(1.0, gt=0)
    """Factor of the learned rates."""
    momentum: float = Limits(0.0, ge=0, lt=1)
    """Of the steps with learned rates: a step follows the gradient plus this share of the last one (Polyak 1964)."""
    optimizer: Literal["sgd", "adam"] = "adam"
    rate: float = Limits(1e-3, gt=0)
    """Of the optimizer, for the steps after those."""


@dataclass(frozen=True)
class Fitted:
    """Fields fitted to T signals."""

    tensors: Mapping[str, Tensor]
    """Stacked weights (T, ...): of each task, those with the lowest loss on the way."""
    curve: dict[int, np.ndarray]
    """The kind's metric (T,) after the steps that were marked, best or not."""
    final: np.ndarray
    """The metric of the weights above, (T,); empty where nobody judged."""
    losses: np.ndarray
    """Of every step and task, (steps + 1, T)."""
    diverged: np.ndarray
    """Whether a task's loss became infinite, (T,); its weights are then the best before."""


def evaluator(field: Field, tensors: Tensors) -> Evaluate:
    """Return a field with stacked weights as a function of coordinates, evaluated in chunks without gradients."""

    def evaluate(coordinates: Tensor) -> Tensor:
        size = max(1, EVALUATED // (field.config.hidden * len(coordinates)))
        with torch.no_grad():
            parts = [field(part, tensors) for part in torch.split(coordinates, size, dim=1)]
        return torch.cat(parts, 1)

    return evaluate


def derivatives_of(field: Field, kind: Kind) -> Derivatives:
    """Return what computes the derivatives of a field's loss: written out where that is possible, else autograd."""
    if ByHand.serves(field, kind):
        return ByHand(field)
    return Autograd(lambda tensors, batch: kind.loss(kind.predict(lambda x: field(x, tensors), batch), batch))


def stacked(field: Field, tasks: int) -> dict[str, Tensor]:
    """Return a field's weights once for each task, (T, ...)."""
    return {n: p.detach().expand(tasks, *p.shape) for n, p in field.named_parameters()}


def observed(
    kind: Kind, signals: Sequence[Signal], points: int, seed: int, device: torch.device
) -> Callable[[], Parts]:
    """Return what gives the observations of signals of equal size, made anew at every step.

    `points` random ones of each signal, others at every step; 0: all, or, of signals that ask for more than MANY points
    of the field, as many random ones as evaluate those.
    """
    few = looked_at(kind, signals[0], points)
    if few < kind.count(signals[0]):
        return _some(kind, signals, few, seed, device)
    return _complete(kind, signals, device)


def looked_at(kind: Kind, signal: Signal, points: int = 0) -> int:
    """Return how many observations of a signal a step looks at, `points` as for `observed`."""
    count = kind.count(signal)
    return min(count, points or max(1, MANY * count // kind.points(signal)))


def _complete(kind: Kind, signals: Sequence[Signal], device: torch.device) -> Callable[[], Parts]:
    count = kind.count(signals[0])
    size = max(1, LOADED * count // (kind.points(signals[0]) * len(signals)))

    def parts() -> Parts:
        for first in range(0, count, size):
            which = torch.arange(first, min(first + size, count))
            yield stack([kind.observe(s, which) for s in signals], device), len(which) / count

    return parts


def _some(kind: Kind, signals: Sequence[Signal], few: int, seed: int, device: torch.device) -> Callable[[], Parts]:
    # One for each, alike: what a signal is fitted to does not depend on which others are fitted beside it.
    generators = [torch.Generator().manual_seed(seed) for _ in signals]

    def parts() -> Parts:
        looks = []
        for signal, generator in zip(signals, generators, strict=True):
            which = torch.randint(kind.count(signal), (few,), generator=generator)
            looks.append(kind.observe(signal, which, generator))
        return [(stack(looks, device), 1.0)]

    return parts


def stack(looks: Sequence[Batch], device: torch.device | None = None) -> Batch:
    """Return observations (M, ...) of several signals as one batch (T, M, ...)."""
    return {name: torch.stack([look[name] for look in looks]).to(device) for name in looks[0]}


def fit(
    field: Field,
    kind: Kind,
    tensors: Tensors,
    parts: Callable[[], Parts],
    steps: int,
    adaptation: Adaptation,
    rates: Tensor | None = None,
    judge: Callable[[Evaluate], Tensor] | None = None,
    marks: Collection[int] = (),
    progress: Progress | None = None,
) -> Fitted:
    """Fit T fields, starting from stacked tensors (T, ...), to what `parts` gives at each step.

    `rates`: learned inner rates (steps, tensors). `judge` gives the metric (T,) at the steps in `marks`, step 0 is the
    start itself. A task whose loss is no longer finite stops there; one that learned rates, which suit signals like
    those that were learned from, leave worse than it began goes back to its best and on at less than half of them.
    """
    derivatives = derivatives_of(field, kind)
    now = {n: v.detach().clone() for n, v in tensors.items()}
    best = {n: v.clone() for n, v in now.items()}
    lowest = torch.full((len(next(iter(now.values()))),), torch.inf, device=next(iter(now.values())).device)
    lost = torch.zeros_like(lowest, dtype=torch.bool)
    optimizer = _optimizer(now, adaptation)
    curve: dict[int, np.ndarray] = {}
    losses = []
    descent = None if rates is None else _Descent(rates, adaptation, best)
    for step in range(steps + 1):
        if judge is not None and step in marks:
            curve[step] = _judged(judge, field, now)
        found, grads = derivatives.gradient(now, parts())
        losses.append(found.cpu().numpy())
        lost |= ~torch.isfinite(found)
        better = found < lowest
        lowest = torch.where(better, found, lowest)
        for name, value in now.items():
            best[name][better] = value[better]
        if progress is not None:
            progress(step, steps, f"loss {float(lowest.mean()):.3g}")
        if step == steps or bool(lost.all()):
            break
        if descent is not None and step < adaptation.learned_steps:
            descent.step(step, now, grads, found)
        else:
            for name, value in now.items():
                value.grad = grads[name]
            optimizer.step()
    final = _judged(judge, field, best) if judge is not None else np.empty(0)
    return Fitted(best, curve, final, np.stack(losses), lost.cpu().numpy())


class _Descent:
    """Steps with learned rates, and the way back from those that were too long."""

    def __init__(self, rates: Tensor, adaptation: Adaptation, best: Mapping[str, Tensor]) -> None:
        self.rates, self.adaptation, self.best = rates, adaptation, best
        self.at_best = {name: torch.zeros_like(value) for name, value in best.items()}  # gradients
        self.velocity = {name: torch.zeros_like(value) for name, value in best.items()}
        first = next(iter(best.values()))
        self.begun = self.lowest = torch.full((len(first),), torch.inf, device=first.device)  # losses (T,)
        self.share = torch.ones_like(self.lowest)

    def step(self, step: int, now: Mapping[str, Tensor], grads: Mapping[str, Tensor], losses: Tensor) -> None:
        """Change `now`, whose losses (T,) and gradients these are."""
        if step == 0:
            self.begun = losses
        better, overshot = losses < self.lowest, losses > self.begun
        # A step that makes an error -x times what it was (its square x^2 times) would end it at 1 / (1 + x) its length.
        self.share[overshot] /= 1 + (losses / self.lowest)[overshot].sqrt().to(self.share)
        self.lowest = torch.where(better, losses, self.lowest)
        row = self.rates[min(step, len(self.rates) - 1)].tolist()
        for (name, value), rate in zip(now.items(), row, strict=True):
            grad, velocity = grads[name], self.velocity[name]
            self.at_best[name][better] = grad[better]
            value[overshot] = self.best[name][overshot]
            grad[overshot], velocity[overshot] = self.at_best[name][overshot], 0.0
            velocity.mul_(self.adaptation.momentum).add_(grad)
            shares = (self.share * (rate * self.adaptation.scale)).to(value)
            value.sub_(velocity * shares.view(-1, *([1] * (value.ndim - 1))))


def _judged(judge: Callable[[Evaluate], Tensor], field: Field, tensors: Tensors) -> np.ndarray:
    return np.asarray(judge(evaluator(field, tensors)).float().cpu())


def _optimizer(tensors: Mapping[str, Tensor], adaptation: Adaptation) -> torch.optim.Optimizer:
    # Both work entry by entry, so stacked tasks are fitted as each would be alone.
    if adaptation.optimizer == "adam":
        return torch.optim.Adam(tensors.values(), lr=adaptation.rate, fused=True)
    return torch.optim.SGD(tensors.values(), lr=adaptation.rate)
