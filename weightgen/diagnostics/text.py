"""A diagnosis for a terminal of 80 columns."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from weightgen.console import table
from weightgen.diagnostics.diagnosis import Diagnosed, Diagnosis
from weightgen.diagnostics.layers import fold
from weightgen.diagnostics.measure import Measurement
from weightgen.errors import printable
from weightgen.publishing.report.numbers import number

WIDTH = 80
LABEL, NAME = 36, 16
"""Columns of the longest label and of the longest name of a start."""
ENDS = 6
"""Rows at each end of a table of layers that is longer."""


def diagnosis_text(diagnosis: Diagnosis) -> str:
    """Return headline numbers of all starts side by side, what they say, and the layers; no line over 80 columns."""
    lines = [*_wrapped(diagnosis.model), *_wrapped(f"measured on {diagnosis.data}"), ""]
    rows = [row for name in diagnosis.measures for row in _numbers(diagnosis, name)]
    lines.append(_tables(diagnosis.starts, rows, ""))
    if said := _said(diagnosis):
        lines += ["", *said]
    for name in diagnosis.measures:
        for title, layers in _layers(diagnosis, name):
            lines += ["", _tables(diagnosis.starts, layers, title)]
    return "\n".join(lines)


def shown(value: float) -> str:
    """Write a number: whole ones in full, `-` where there is none."""
    if math.isnan(value):
        return "-"
    if value == round(value, 0) and abs(value) < 1e6:
        return f"{value:.0f}"
    return number(value)


def spelt(key: str) -> str:
    """Write the key of a number in words."""
    return key.replace("_", " ")


def _numbers(diagnosis: Diagnosis, name: str) -> Iterator[tuple[str, ...]]:
    taken = [start.measured(name) for start in diagnosis.starts]
    keys = dict.fromkeys(key for found in taken if found is not None for key in found.numbers)
    yield (name, *("" if keys else "-" for _ in taken))
    for key in keys:
        cells = ("-" if found is None else shown(found.numbers.get(key, math.nan)) for found in taken)
        yield (f"  {spelt(key)}", *cells)


def _said(diagnosis: Diagnosis) -> list[str]:
    """Return what the measures say of a start that is alone, and why what is missing was not measured."""
    lines: list[str] = []
    for start in diagnosis.starts:
        for name, found in start.found.items():
            if isinstance(found, str):
                lines += _wrapped(f"{printable(start.name)}: {name} not measured: {printable(found, 300)}", "  ")
            elif len(diagnosis.starts) == 1:
                lines += _wrapped(f"{name}: {printable(found.reading, 300)} ({found.sample})", "  ")
    return lines


def _layers(diagnosis: Diagnosis, name: str) -> Iterator[tuple[str, list[tuple[str, ...]]]]:
    """Yield for each value that a measure finds in layers a title and a row for each folded layer."""
    taken = [start.measured(name) for start in diagnosis.starts]
    first = next((found for found in taken if found is not None and found.rows), None)
    for key in first.rows[0].values if first is not None else ():
        columns = [dict[str, str]() if found is None else _column(found, key) for found in taken]
        labels = list(dict.fromkeys(label for column in columns for label in column))
        rows = [(label, *(column.get(label, "-") for column in columns)) for label in labels]
        if len(rows) > 2 * ENDS + 1:
            more = (f"... {len(rows) - 2 * ENDS} more: --json has all", *[""] * len(columns))
            rows = [*rows[:ENDS], more, *rows[-ENDS:]]
        yield f"{name}: {spelt(key)}", rows


def _column(found: Measurement, key: str) -> dict[str, str]:
    ends = {group.label: tuple(map(shown, group.ends(key))) for group in fold(found.rows)}
    return {label: " .. ".join(dict.fromkeys(values)) for label, values in ends.items()}


def _tables(starts: Sequence[Diagnosed], rows: Sequence[tuple[str, ...]], title: str) -> str:
    """Lay out rows, a column for each start: as many tables below each other as the width asks for."""
    labels = [_shortened(row[0]) for row in rows]
    names = [printable(start.name, NAME) for start in starts]
    widths = [max(len(name), *(len(row[i + 1]) for row in rows)) for i, name in enumerate(names)]
    left = max(map(len, [title, *labels]))
    made, begin = [], 0
    while begin < len(starts):
        end = begin + 1
        while end < len(starts) and left + sum(w + 2 for w in widths[begin : end + 1]) <= WIDTH:
            end += 1
        part = [(label, *row[begin + 1 : end + 1]) for label, row in zip(labels, rows, strict=True)]
        made.append(table(part, (title, *names[begin:end]), right=tuple(range(1, end - begin + 1))))
        begin = end
    return "\n\n".join(made)


def _shortened(label: str) -> str:
    """Leave out the middle of a long name: layers differ at its end, blocks at its beginning."""
    label = printable(label, 500)
    return label if len(label) <= LABEL else f"{label[: LABEL // 2 - 2]}...{label[-(LABEL // 2) + 1 :]}"


def _wrapped(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(printable(text, 1000), WIDTH, subsequent_indent=indent)


def catalogue() -> tuple[dict[str, Any], str]:
    """Return the measures that there are, as data and as text."""
    from weightgen.diagnostics import COMPARISONS, MEASURES

    width = max(map(len, [*MEASURES, *COMPARISONS])) + 2
    data, lines = {}, []
    for title, known in (("measures", MEASURES), ("comparisons", COMPARISONS)):
        data[title] = {n: {"paper": m.paper, "says": m.says, "cost": m.cost} for n, m in known.items()}
        if title == "comparisons":
            lines += ["", "With --against START:", ""]
        for name, measure in known.items():
            told = f"{measure.says} ({measure.paper}; {measure.cost})"
            lines += textwrap.wrap(told, 80, initial_indent=name.ljust(width), subsequent_indent=" " * width)
    return data, "\n".join(lines)
