"""report.html: one page that needs nothing else, no script either, and trusts no word it shows."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from weightgen.diagnostics.diagnosis import Diagnosis
from weightgen.diagnostics.report.chart import chart, look
from weightgen.diagnostics.report.panels import panels
from weightgen.diagnostics.text import shown, spelt
from weightgen.errors import printable_lines
from weightgen.version import __version__

WIDE, NARROW = (760, 320), (350, 260)


def page(diagnosis: Diagnosis) -> str:
    """Return the page: for each measure what it says of every start, its numbers, curves and layers."""
    style = (files("weightgen.compare.report") / "assets" / "page.css").read_text("utf-8")
    environment = Environment(
        autoescape=True, finalize=printable_lines, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    text = (files("weightgen.diagnostics.report") / "assets" / "page.html").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return environment.from_string(text).render(
        diagnosis=diagnosis,
        version=__version__,
        style=Markup(style),
        policy=f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'",
        starts=[(start, look(place)) for place, start in enumerate(diagnosis.starts)],
        measures=[_measure(diagnosis, name) for name in diagnosis.measures],
    )


def _measure(diagnosis: Diagnosis, name: str) -> dict[str, Any]:
    taken = [(start, start.measured(name)) for start in diagnosis.starts]
    keys = dict.fromkeys(key for _, found in taken if found is not None for key in found.numbers)
    values = dict.fromkeys(key for _, found in taken if found is not None for row in found.rows for key in row.values)
    layers = dict.fromkeys(row.layer for _, found in taken if found is not None for row in found.rows)
    known = [{row.layer: row.values for row in found.rows} if found is not None else {} for _, found in taken]
    return {
        "name": name,
        **diagnosis.measures[name],
        "readings": [
            (start.name, found.reading if found is not None else f"not measured: {start.found[name]}")
            for start, found in taken
        ],
        "samples": list(dict.fromkeys(found.sample for _, found in taken if found is not None)),
        "numbers": [
            (spelt(key), ["-" if found is None else _cell(found.numbers, key) for _, found in taken]) for key in keys
        ],
        "charts": [
            (panel.label, Markup(chart(panel, *WIDE)), Markup(chart(panel, *NARROW)))
            for panel in panels(diagnosis, name)
        ],
        "columns": [f"{start.name}: {spelt(value)}" for start, _ in taken for value in values],
        "layers": [
            (layer, [_cell(rows.get(layer, {}), value) for rows in known for value in values]) for layer in layers
        ],
    }


def _cell(values: dict[str, float], key: str) -> str:
    return shown(values[key]) if key in values else "-"
