"""Where values lie on an axis, and which of them are written beside it."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Axis:
    """Maps [low, high] to [start, end] pixels; `log` spreads `value + offset` by its logarithm."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False
    offset: float = 0.0
    """1 for steps, so that step 0 has a place on a logarithmic axis."""

    def at(self, value: float) -> float:
        """Return the pixel of a value, clipped to the axis."""
        low, high, value = (self._spread(v) for v in (self.low, self.high, min(max(value, self.low), self.high)))
        return self.start + (value - low) / ((high - low) or 1.0) * (self.end - self.start)

    def ticks(self, count: int) -> list[float]:
        """Return about `count` round values on the axis."""
        if self.log:
            first, last = (
                math.floor(math.log10(max(self.low, 1e-300) + self.offset)),
                math.log10(self.high + self.offset),
            )
            powers = [10.0**p for p in range(first, math.floor(last) + 1)]
            every = math.ceil(len(powers) / count)
            zero = [0.0] if self.low == 0 else []
            shown = zero + [p for p in powers[:: max(every, 1)] if self.low <= p <= self.high]
            if len(shown) > 1:
                return shown
        span = (self.high - self.low) or 1.0
        unit = 10.0 ** math.floor(math.log10(span / count))
        step = next(unit * m for m in (1, 2, 5, 10) if span / (unit * m) <= count)
        first = math.ceil(self.low / step - 1e-9)
        return [n * step for n in range(first, math.floor(self.high / step + 1e-9) + 1)]

    def _spread(self, value: float) -> float:
        return math.log(value + self.offset) if self.log else value
