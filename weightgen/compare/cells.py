"""The table of a race: the same cells for the page, the model card and the terminal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from weightgen.compare.schema import Results, StartFields
from weightgen.compare.statistics import MILESTONES
from weightgen.publishing.report.numbers import between, change, duration, number, operations, ratio

NOTHING = "-"


@dataclass(frozen=True)
class Cell:
    """A number of the table: as people read it, its interval, and as it stands in results.json."""

    text: str
    interval: str = ""
    value: float | None = None


def columns(results: Results) -> dict[str, str]:
    """Return the columns of the table, key -> heading."""
    metric = results["task"]["metric"]["name"]
    return {
        "test": f"Test {metric}",
        "difference": f"Difference to {results['baseline']}",
        "speedup": "Speed-up",
        "speedup_best": "Speed-up to best",
        **{word: "Before training" if word == "0" else f"At {word}" for word in MILESTONES},
        "learning_rate": "Learning rate",
        "flops": "Compute",
        "seconds": "Time",
    }


def cells(start: StartFields, results: Results) -> dict[str, Cell]:
    """Return the row of one start, by column."""
    budget = start["curve"]["steps"][-1]
    flops = start["flops_making"] + start["flops_per_step"] * budget
    making = f"start: {operations(start['flops_making'])}" if start["flops_making"] else ""
    difference = start["difference"]
    return {
        "test": _metric(start["test"]),
        "difference": Cell(NOTHING) if difference is None else _difference(difference),
        "speedup": _speedup(start, results, "speedup"),
        "speedup_best": _speedup(start, results, "speedup_best"),
        **{word: _metric(dict(start["milestones"])[word]) for word in MILESTONES},
        "learning_rate": Cell(rate(start["learning_rate"]), "", start["learning_rate"]),
        "flops": Cell(operations(flops), making, flops),
        "seconds": Cell(duration(start["seconds"]), "", start["seconds"]),
    }


def rate(value: float | None) -> str:
    """Write a learning rate; None where a start brings its own, one for each tensor and step."""
    return "learned" if value is None else f"{value:.3g}"


def watched(results: Results) -> str:
    """Return which items the curve is measured on: a race of fits has chosen by others, and shows the test's."""
    return "test" if results["task"]["name"].startswith("fit ") else "validation"


def _metric(field: Any) -> Cell:
    return Cell(number(field["value"]), f"{number(field['low'])} to {number(field['high'])}", field["value"])


def _difference(field: Any) -> Cell:
    value, low, high = change(field["value"], field["low"], field["high"])
    return Cell(value, f"{low} to {high}", field["value"])


def _speedup(start: StartFields, results: Results, word: str) -> Cell:
    fields = start[word]  # type: ignore[literal-required]
    if start["name"] == results["baseline"]:
        return Cell(NOTHING)
    if fields["value"] is None:
        return Cell(f"< {ratio(fields['at_most'])}", f"{between(fields['low'], fields['high'])}")
    return Cell(ratio(fields["value"]), between(fields["low"], fields["high"]), fields["value"])
