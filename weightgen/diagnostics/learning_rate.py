"""The largest learning rate with which training from a start does not fail.

After Iyer, Hanin and Rolnick 2023, "Maximal initial learning rates in deep ReLU networks", who train for an epoch up to
an accuracy; here it is some steps of gradient descent on one batch, in the second half of which the mean loss must be
lower than at the start: a first step that overshoots is forgiven where the next ones recover.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import Tensor

from weightgen.diagnostics.measure import Measurement, Probe, Tensors, batch_statistics, gradients
from weightgen.errors import UsageError

RATIO = 1.1
"""Of neighbouring rates: the answer trains, RATIO times the answer fails."""
STRIDE = 16
FURTHEST = 192
"""Rates tried lie within RATIO^192, eight orders of magnitude, of the first."""
ITEMS = 8
STEPS = 20


def maximal_rate(trains: Callable[[float], bool], first: float) -> float:
    """Return a rate on the grid first x RATIO^k that trains while its upper neighbour fails, by bisection on log rate.

    Which one, where success is not monotone, depends on `first`. Raises UsageError where nothing on the grid trains,
    or nothing fails.
    """
    known: dict[int, bool] = {}

    def good(k: int) -> bool:
        if k not in known:
            known[k] = trains(first * RATIO**k)
        return known[k]

    towards = 1 if good(0) else -1
    low = high = 0
    while good(high) == good(0):
        if abs(high) >= FURTHEST:
            every = "every" if good(0) else "no"
            raise UsageError(f"{every} rate from {first:.3g} to {first * RATIO**high:.3g} trains")
        low, high = high, high + towards * STRIDE
    low, high = min(low, high), max(low, high)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if good(middle) else (low, middle)
    return first * RATIO**low


def trains(probe: Probe, rate: float, steps: int = STEPS) -> bool:
    """Tell whether gradient descent on the probe's batch lowers its loss: from the start to the steps' second half.

    Each call begins at the model's own values, with batch norms as in training and no dropout: the same seed always.
    """
    tensors, losses = probe.parameters(), list[float]()

    def loss(leaves: Tensors) -> Tensor:
        found = probe.mean_loss(leaves)
        losses.append(float(found.detach()))
        return found

    with batch_statistics(probe.model):
        for _ in range(steps):
            slopes = gradients(loss, tensors)
            if not math.isfinite(losses[-1]):
                return False
            tensors = {n: t - rate * slopes[n] for n, t in tensors.items()}
        losses.append(float(probe.mean_loss(tensors).detach()))
    late = losses[-(steps // 2) - 1 :]
    return math.isfinite(losses[-1]) and sum(late) / len(late) < losses[0]


def learning_rate(probe: Probe) -> Measurement:
    """Return the maximal initial learning rate; raises UsageError where there is no loss, or no gradient."""
    used = probe.take(ITEMS)
    tensors = used.parameters()
    with batch_statistics(used.model):
        loss = float(used.mean_loss(tensors).detach())
        square = sum(float(s.double().square().sum()) for s in gradients(used.mean_loss, tensors).values())
    if not (0 < square < math.inf and 0 < loss < math.inf):
        raise UsageError(f"the gradient's square is {square:g} and the loss {loss:g}: no step can be chosen")
    rate = maximal_rate(lambda value: trains(used, value), loss / square)  # Polyak's step
    return Measurement(
        "learning-rate",
        {"rate": rate, "fails_at": RATIO * rate},
        f"{STEPS} steps of gradient descent lower the loss with {rate:.3g}, and fail with {RATIO * rate:.3g}",
        f"{used.items} of {probe.items} items",
    )
