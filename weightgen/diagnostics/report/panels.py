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
    """Those that the axes can show: (place, value)."""


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
    for index, start in enumerate(diagnosis.starts):
        found = start.measured(measure)
        for series in found.series if found is not None else ():
            labels.setdefault(series.label, (series.over, series.log))
            points = tuple(
                (float(place), value)
                for place, value in zip(series.places or range(1, len(series.values) + 1), series.values, strict=True)
                if math.isfinite(value) and (value > 0 or not series.log)
            )
            if points:
                lines.setdefault(series.label, []).append(Line(index, start.name, points))
    for label, (over, log) in labels.items():
        if label in lines:
            yield Panel(measure, label, over, log, tuple(lines[label]))


def across(panel: Panel) -> tuple[float, float, bool]:
    """Return the first and the last place, and whether all are whole: layers are counted from 1, which may be empty."""
    places = [place for line in panel.lines for place, _ in line.points]
    first, last = min(1.0, *places), max(places)
    return first, last if last > first else first + 1, all(place.is_integer() for place in places)


def extent(panel: Panel) -> tuple[float, float]:
    """Return the lowest and the highest value, with room above and below."""
    values = [value for line in panel.lines for _, value in line.points]
    low, high = min(values), max(values)
    if panel.log:
        return low / 1.3, high * 1.3
    room = 0.05 * ((high - low) or abs(high) or 1.0)
    return low - room, high + room
