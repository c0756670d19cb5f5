"""A panel as SVG, in the classes of the report's style sheet."""

from __future__ import annotations

from html import escape

from weightgen.diagnostics.report.panels import Panel, across, extent
from weightgen.errors import printable
from weightgen.publishing.report.axis import Axis
from weightgen.publishing.report.colours import COLOURS, DASHES
from weightgen.publishing.report.numbers import number


def look(start: int) -> str:
    """Return the CSS classes of a start's colour and dashes."""
    return f"c{start % COLOURS} d{start % DASHES}"


def chart(panel: Panel, width: int, height: int) -> str:
    """Return an SVG of the lines of all starts over their places."""
    left, right, top, bottom = 66, 22, 14, 46
    (first, last, whole), (low, high) = across(panel), extent(panel)
    x = Axis(first, last, left, width - right)
    y = Axis(low, high, height - bottom, top, panel.log)
    parts = [f'<svg class="chart" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(_spoken(panel))}">']
    for tick in y.ticks(6):
        at = y.at(tick)
        parts.append(f'<path class="grid" d="M{left} {at:.1f}H{width - right}"/>')
        parts.append(f'<text class="y" x="{left - 8}" y="{at + 4:.1f}">{tick:.6g}</text>')
    for tick in x.ticks(width // 80):
        if not whole or tick.is_integer():  # there is no place between two layers
            at = x.at(tick)
            parts.append(f'<path class="grid" d="M{at:.1f} {top}V{height - bottom}"/>')
            parts.append(f'<text class="x" x="{at:.1f}" y="{height - bottom + 18}">{tick:g}</text>')
    parts.append(
        f'<text class="x" x="{(left + width - right) / 2:.0f}" y="{height - 8}">{escape(printable(panel.over))}</text>'
    )
    for line in panel.lines:
        points = [f"{x.at(a):.1f} {y.at(b):.1f}" for a, b in line.points]
        path = "L".join(points if len(points) > 1 else points * 2)  # one point: a dot, since lines have round ends
        parts.append(f'<g class="series {look(line.start)}"><path class="line" d="M{path}"/></g>')
    return "".join([*parts, "</svg>"])


def _spoken(panel: Panel) -> str:
    """The text alternative: from where to where each start goes; the table has the numbers between."""
    told = [
        f"{printable(line.name)} from {number(line.points[0][1])} to {number(line.points[-1][1])}"
        for line in panel.lines
    ]
    return f"{printable(panel.label)} by {printable(panel.over)}: {'; '.join(told)}."
