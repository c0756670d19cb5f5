"""All panels of a diagnosis as one PNG."""

from __future__ import annotations

import io
import warnings

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from weightgen.diagnostics.diagnosis import Diagnosis
from weightgen.diagnostics.report.panels import Panel, across, extent, panels
from weightgen.errors import printable
from weightgen.publishing.report.colours import COLOURS, DASHES, PALETTE, PATTERNS

ACROSS = 2


def picture(diagnosis: Diagnosis) -> bytes | None:
    """Return a PNG with a panel for each curve that was measured, two in a row; None where there is none."""
    found = [panel for name in diagnosis.measures for panel in panels(diagnosis, name)]
    if not found:
        return None
    down = -(-len(found) // ACROSS)
    figure = Figure(figsize=(5 * min(ACROSS, len(found)), 3.4 * down), dpi=150, layout="constrained")
    drawn: dict[str, Line2D] = {}
    for index, panel in enumerate(found):
        drawn |= _draw(figure.add_subplot(down, min(ACROSS, len(found)), index + 1), panel)
    legend = figure.legend([*drawn.values()], [*drawn], loc="outside upper left", ncols=3, frameon=False)
    for text in legend.get_texts():
        text.set_parse_math(False)  # a dollar sign in a name is no formula
    scratch = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # a name in a script that the font lacks
        figure.savefig(scratch, format="png")
    return scratch.getvalue()


def _draw(axes: Axes, panel: Panel) -> dict[str, Line2D]:
    """Draw a panel; return the line of each start."""
    drawn = {}
    for line in panel.lines:
        places, values = zip(*line.points, strict=True)
        style = {"color": PALETTE[line.start % COLOURS], "linestyle": PATTERNS[line.start % DASHES]}
        (drawn[printable(line.name, 30)],) = axes.plot(places, values, linewidth=1.6, **style)
    first, last, _ = across(panel)
    if panel.log:
        axes.set_yscale("log")
    axes.set_xlim(first, last)
    axes.set_ylim(*extent(panel))
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(panel.label, loc="left", fontsize="medium")
    axes.set_xlabel(panel.over)
    return drawn
