"""The curves of a race as SVG, drawn here once per scale and width, so that the page needs no script to show them."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from weightgen.compare.cells import watched
from weightgen.compare.schema import Results, StartFields
from weightgen.errors import printable
from weightgen.publishing.report.axis import Axis
from weightgen.publishing.report.colours import COLOURS, DASHES
from weightgen.publishing.report.numbers import number

LOG_RATIO = 30.0  # a perplexity that falls from 50000 to 30 is a flat line on a linear axis


def look(results: Results, start: StartFields) -> str:
    """Return the CSS classes of a start's colour and dashes; the baseline has its own."""
    if start["name"] == results["baseline"]:
        return "base"
    index = [s["name"] for s in results["starts"] if s["name"] != results["baseline"]].index(start["name"])
    return f"c{index % COLOURS} d{index % DASHES}"


def falls_far(results: Results) -> bool:
    """Tell whether the metric is one to bring down, by so much that its axis should be logarithmic."""
    means = [v for s in results["starts"] for v in s["curve"]["mean"]]
    return not results["task"]["metric"]["higher_is_better"] and max(means) > LOG_RATIO * min(means) > 0


def chart(results: Results, width: int, height: int, log: bool) -> str:
    """Return an SVG of mean curves with their 95 % bands; `log` spreads the steps by their logarithm."""
    left, right, top, bottom = 58, 22, 14, 46
    last = max(s["curve"]["steps"][-1] for s in results["starts"])
    x = Axis(0.0, max(last, 1), left, width - right, log, offset=1.0)
    low, high, spread = _range(results)
    y = Axis(low, high, height - bottom, top, spread)
    parts = [
        f'<svg class="chart" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(_spoken(results))}" '
        f'data-left="{left}" data-right="{width - right}" data-last="{x.high:g}" data-log="{int(log)}">'
    ]
    for tick in y.ticks(7):
        at = y.at(tick)
        parts.append(f'<path class="grid" d="M{left} {at:.1f}H{width - right}"/>')
        parts.append(f'<text class="y" x="{left - 8}" y="{at + 4:.1f}">{tick:.6g}</text>')
    for tick in x.ticks(width // 80):
        at = x.at(tick)
        parts.append(f'<path class="grid" d="M{at:.1f} {top}V{height - bottom}"/>')
        parts.append(f'<text class="x" x="{at:.1f}" y="{height - bottom + 18}">{_steps(tick)}</text>')
    label = f"training steps{' (logarithmic)' if log else ''}"
    parts.append(f'<text class="x" x="{(left + width - right) / 2:.0f}" y="{height - 8}">{label}</text>')
    baseline = next(s for s in results["starts"] if s["name"] == results["baseline"])
    parts.append(f'<path class="target" d="M{left} {y.at(baseline["curve"]["mean"][-1]):.1f}H{width - right}"/>')
    parts += [_series(results, index, x, y) for index in range(len(results["starts"]))]
    parts.append(f'<path class="cursor" d="M0 {top}V{height - bottom}"/></svg>')
    return "".join(parts)


def _series(results: Results, index: int, x: Axis, y: Axis) -> str:
    start = results["starts"][index]
    curve = start["curve"]
    steps = curve["steps"]

    def points(values: Sequence[float]) -> list[str]:
        return [f"{x.at(s):.1f} {y.at(v):.1f}" for s, v in zip(steps, values, strict=True)]

    band = "M" + "L".join(points(curve["high"]) + points(curve["low"])[::-1]) + "Z"
    return (
        f'<g class="series {look(results, start)}" data-series="{index}"><path class="band" d="{band}"/>'
        f'<path class="line" d="M{"L".join(_points(points(curve["mean"])))}"/></g>'
    )


def _points(points: list[str]) -> list[str]:
    return points if len(points) > 1 else points * 2  # one mark: a dot, since lines have round ends


def _range(results: Results) -> tuple[float, float, bool]:
    """Return the ends of the metric's axis, and whether it is logarithmic."""
    curves = [s["curve"] for s in results["starts"]]
    low, high = min(min(c["low"]) for c in curves), max(max(c["high"]) for c in curves)
    if falls_far(results):
        return max(low, min(v for c in curves for v in c["mean"]) / 2), high, True
    room = 0.04 * ((high - low) or abs(high) or 1.0)
    return low - room, high + room, False


def _steps(tick: float) -> str:
    return f"{tick / 1000:g}k" if tick >= 10_000 else f"{tick:g}"


def _spoken(results: Results) -> str:
    """The text alternative: from where to where each start goes; the table has the numbers between."""
    metric = printable(results["task"]["metric"]["name"])
    lines = [
        f"{printable(s['name'])} from {number(s['curve']['mean'][0])} to {number(s['curve']['mean'][-1])}"
        for s in results["starts"]
    ]
    return f"{watched(results).capitalize()} {metric} against training steps: {'; '.join(lines)}."
