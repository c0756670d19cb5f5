"""The panels of a report: for each curve that a measure draws, a line of every start."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from weightgen.diagnostics.diagnosis import Diagnosis


@dataclass(frozen=True)
class Line:
    """What one start draws."""

    start: int
    """Its place among the starts, which gives it its colour."""
    name: str
    points: tuple[tuple[float, float], ...]
    """Those that the axes can show: (place from 1 on, value)."""


@dataclass(frozen=True)
class Panel:
    """One pair of axes."""

    measure: str
    label: str
    """Of the vertical axis."""
    over: str
    """Of the horizontal axis."""
    log: bool
    lines: tuple[Line, ...]


def panels(diagnosis: Diagnosis, measure: str) -> Iterator[Panel]:
    """Yield a measure's panels; one that no start has a point in is left out."""
    labels: dict[str, tuple[str, bool]] = {}
    lines: dict[str, list[Line]] = {}
    for place, start in enumerate(diagnosis.starts):
        found = start.measured(measure)
        for series in found.series if found is not None else ():
            labels.setdefault(series.label, (series.over, series.log))
            points = tuple(
                (float(i), value)
                for i, value in enumerate(series.values, 1)
                if math.isfinite(value) and (value > 0 or not series.log)
            )
            if points:
                lines.setdefault(series.label, []).append(Line(place, start.name, points))
    for label, (over, log) in labels.items():
        if label in lines:
            yield Panel(measure, label, over, log, tuple(lines[label]))


def extent(panel: Panel) -> tuple[float, float, float]:
    """Return the last place, the lowest and the highest value, with room above and below."""
    values = [value for line in panel.lines for _, value in line.points]
    last, low, high = max(x for line in panel.lines for x, _ in line.points), min(values), max(values)
    if panel.log:
        return last, low / 1.3, high * 1.3
    room = 0.05 * ((high - low) or abs(high) or 1.0)
    return last, low - room, high + room
