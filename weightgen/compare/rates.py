"""The learning rates that are tried for a start: the same number for each, wherever its best one lies."""

from __future__ import annotations

from collections.abc import Mapping

SPACING = 10**0.5


def next_rate(tried: Mapping[float, float], first: float) -> float:
    """Return the learning rate to try after those in `tried`, {rate: score, higher is better}.

    Half a decade above the first one; then on past whichever end is best, or between the best and the better of its
    neighbours. Rates have three digits, so that they read well.
    """
    if not tried:
        return first
    rates = sorted(tried)
    best = max(rates, key=lambda r: tried[r])
    i = rates.index(best)
    if i == len(rates) - 1:
        return _three_digits(best * SPACING)
    if i == 0:
        return _three_digits(best / SPACING)
    neighbour = max(rates[i - 1], rates[i + 1], key=lambda r: tried[r])
    return _three_digits((best * neighbour) ** 0.5)


def best_rate(tried: Mapping[float, float]) -> float:
    """Return the rate with the highest score, the lowest such rate where several have it."""
    return max(sorted(tried), key=lambda r: tried[r])


def _three_digits(rate: float) -> float:
    return float(f"{rate:.3g}")
