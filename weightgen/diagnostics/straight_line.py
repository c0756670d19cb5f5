"""The loss on the straight line from a start to what was trained from it.

Goodfellow, Vinyals and Saxe, "Qualitatively characterizing neural network optimization problems", ICLR 2015,
arXiv 1412.6544.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from weightgen.diagnostics.comparison import losses_between
from weightgen.diagnostics.measure import Measurement, Probe, Series

SHARES = tuple((k - 5) / 20 for k in range(31))
"""From -0.25 to 1.25; 0 and 1, the ends, are among them exactly."""


def rises(losses: Sequence[float]) -> int:
    """Return how often a curve begins to rise: 0 where it falls all the way, 1 for a valley or a hill."""
    ups = [later > earlier for earlier, later in pairwise(losses)]
    return sum(up and not before for before, up in pairwise([False, *ups]))


def straight_line(before: Probe, after: Probe) -> Measurement:
    """Return the loss between and beyond two ends, and its rises between them; raises UsageError without a loss."""
    losses = losses_between(before, after.parameters(), SHARES)
    inside = [loss for share, loss in zip(SHARES, losses, strict=True) if 0 <= share <= 1]
    count = rises(inside)
    height = max(inside) - max(inside[0], inside[-1])
    course = "falls all the way" if not count else f"rises {count} time{'s' * (count > 1)} on the way"
    return Measurement(
        "straight-line",
        {"rises": float(count), "loss_at_start": inside[0], "loss_at_end": inside[-1], "height_over_ends": height},
        f"from {inside[0]:.4g} to {inside[-1]:.4g} the loss {course}",
        f"{before.items} items, {len(SHARES)} points from {SHARES[0]} to {SHARES[-1]}",
        series=(Series("loss", "share of the way", tuple(losses), places=SHARES),),
    )
