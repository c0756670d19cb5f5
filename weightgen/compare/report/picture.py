"""The curves of all races as one PNG."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from weightgen.compare.cells import watched
from weightgen.compare.report.chart import falls_far
from weightgen.compare.schema import Results
from weightgen.errors import printable
from weightgen.publishing.report.colours import COLOURS, DASHES, PALETTE, PATTERNS

FEW = 6
"""Starts whose legend fits among the curves; that of more stands beside them."""


def picture(results: Sequence[Results]) -> bytes:
    """Return a PNG with one panel per race, mean curves and their 95 % bands."""
    heights = [max(4.2, 0.25 * len(race["starts"]) + 0.5) for race in results]  # a legend of many starts is high
    figure = Figure(figsize=(8, sum(heights)), dpi=150, layout="constrained")  # no pyplot, no global state
    grid = figure.add_gridspec(len(results), 1, height_ratios=heights)
    for index, race in enumerate(results):
        _panel(figure.add_subplot(grid[index]), race)
    scratch = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # a name in a script that the font lacks
        figure.savefig(scratch, format="png")
    return scratch.getvalue()


def _panel(axes: Axes, race: Results) -> None:
    metric = race["task"]["metric"]["name"]
    lines, others = [], 0
    for start in race["starts"]:
        curve = start["curve"]
        colour, dash, width = "#444444", PATTERNS[0], 2.2
        if start["name"] != race["baseline"]:
            colour, dash, width = PALETTE[others % COLOURS], PATTERNS[others % DASHES], 1.8
            others += 1
        (line,) = axes.plot(curve["steps"], curve["mean"], color=colour, linestyle=dash, linewidth=width)
        axes.fill_between(curve["steps"], curve["low"], curve["high"], color=colour, alpha=0.15, linewidth=0)
        lines.append(line)
    if falls_far(race):
        axes.set_yscale("log")
    axes.set_xscale("symlog", linthresh=1)  # step 0 has a place
    axes.set_xlim(left=0)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    names = [printable(s["name"], 30) for s in race["starts"]]
    place: dict[str, Any] = {"loc": "center left", "bbox_to_anchor": (1, 0.5)} if len(names) > FEW else {}
    legend = axes.legend(lines, names, frameon=False, **place)
    texts = [
        axes.set_title(printable(race["title"], 80), loc="left"),
        axes.set_xlabel("training steps"),
        axes.set_ylabel(printable(f"{watched(race)} {metric}", 60)),
        *legend.get_texts(),
    ]
    for text in texts:
        text.set_parse_math(False)  # a dollar sign in a name is no formula
