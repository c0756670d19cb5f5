"""Numbers of a race as people read them. No rounding turns "almost equal" into "equal", or a loss into a zero."""

from __future__ import annotations

import math


def number(value: float) -> str:
    """Write a metric: three significant digits, whole numbers in full up to 99999."""
    if 1000 <= abs(value) < 99999.5:
        return f"{value:.0f}"
    text = f"{value:#.3g}"
    return text.rstrip(".")


def change(value: float, low: float, high: float) -> tuple[str, str, str]:
    """Write a difference and its interval with their signs, all to the same place: two digits of the larger end."""
    ends = value, low, high
    largest = max(map(abs, ends))
    if largest == 0:
        return "0", "0", "0"
    if not 1e-6 < largest < 1e5:
        return (f"{value:+.2g}", f"{low:+.2g}", f"{high:+.2g}")
    places = max(1 - math.floor(math.log10(largest)), 0)
    while places < 12 and any(v != 0 and float(f"{v:.{places}f}") == 0 for v in ends):
        places += 1

    def write(end: float) -> str:
        return f"{end:+.{places}f}" if end else "0"

    return write(value), write(low), write(high)


def ratio(value: float) -> str:
    """Write a ratio: two significant digits, more where it would read as 1 and is not."""
    if value == 0:
        return "0"
    for digits in range(2, 7):
        text = f"{value:#.{digits}g}".rstrip(".")
        if float(text) != 1 or value == 1:
            break
    return f"{value:.0f}" if 100 <= value < 99999.5 else text


def between(low: float, high: float) -> str:
    """Write an interval of ratios or of a metric that is not negative."""
    return f"{ratio(low)}-{ratio(high)}"


def operations(count: float) -> str:
    """Write a number of floating point operations."""
    for unit in ("", "k", "M", "G", "T", "P"):
        if abs(count) < 999.5:
            return f"{count:.3g} {unit}FLOP"
        count /= 1000
    return f"{count:.3g} EFLOP"


def duration(seconds: float) -> str:
    """Write a time."""
    if seconds < 60:
        return f"{seconds:.2g} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
