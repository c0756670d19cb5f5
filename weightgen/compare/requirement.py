"""`--require "speedup>=2"`: a condition on the results of a race."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import Any

from weightgen.compare.schema import Results, StartFields
from weightgen.errors import UsageError, did_you_mean, printable
from weightgen.publishing.report.numbers import number, ratio

GRAMMAR = re.compile(r"\s*(?:(?P<start>.+):)?\s*(?P<measure>[^:<>=]*?)\s*(?P<op>>=|<=|>|<)\s*(?P<number>[^<>=]*?)\s*")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
MEASURES = ("speedup", "speedup.low", "speedup.high", "difference", "difference.low", "difference.high", "final")
COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    ">=": operator.ge,
    ">": operator.gt,
    "<=": operator.le,
    "<": operator.lt,
}


def meets(results: Results, requirement: str) -> tuple[bool, str]:
    """Return whether `[START:]MEASURE OP NUMBER` holds, and one line that says what was found.

    speedup: to the baseline's final validation metric; difference: test metric less the baseline's, in the metric's
    units; `.low`, `.high`: the ends of their 95 % intervals; final: the test metric. OP is >=, >, <= or <. START is by
    default the first that is no control. Raises UsageError for unknown words.
    """
    match = parse_requirement(requirement)
    measure, wanted = match["measure"], float(match["number"])
    start = _start(results, match["start"])
    if measure.startswith("difference") and start["difference"] is None:
        raise UsageError(f"--require: '{printable(start['name'])}' is the baseline and has no difference to itself")
    met, text = _compare(start, measure, match["op"], wanted)
    verdict = "met" if met else "not met"
    return met, f"{printable(start['name'])}: {measure} is {text}, wanted {match['op']} {match['number']}: {verdict}"


def parse_requirement(requirement: str) -> re.Match[str]:
    """Return the parts of a condition; raises UsageError, so that a race can ask before it begins."""
    match = GRAMMAR.fullmatch(requirement)
    if match is None or not NUMBER.fullmatch(match["number"]):
        raise UsageError(
            f"--require '{printable(requirement)}': expected [START:]MEASURE OP NUMBER, such as 'speedup>=2'"
        )
    if match["measure"] not in MEASURES:
        raise UsageError(
            f"--require: unknown measure '{printable(match['measure'])}'; known: {', '.join(MEASURES)}."
            f"{did_you_mean(match['measure'], list(MEASURES))}"
        )
    return match


def _start(results: Results, name: str | None) -> StartFields:
    names = [s["name"] for s in results["starts"]]
    if name is None:
        contenders = [s for s in results["starts"] if s["kind"] == "checkpoint"]
        if not contenders:
            raise UsageError("--require: every start is a control; name one: START:MEASURE OP NUMBER")
        return contenders[0]
    if name.strip() not in names:
        known = ", ".join(printable(n, 40) for n in names[:8])
        raise UsageError(
            f"--require: unknown start '{printable(name.strip())}'; known: {known}.{did_you_mean(name.strip(), names)}"
        )
    return results["starts"][names.index(name.strip())]


def _compare(start: StartFields, measure: str, op: str, wanted: float) -> tuple[bool, str]:
    compare = COMPARISONS[op]
    if measure == "final":
        value = start["test"]["value"]
        return compare(value, wanted), number(value)
    quantity, _, part = measure.partition(".")
    fields: dict[str, Any] = dict(start[quantity])  # type: ignore[literal-required]
    if quantity == "speedup" and fields["value"] is None and part != "low":
        bound = fields[part or "at_most"]  # never reached: below this bound, not at it
        return op in ("<", "<=") and bound <= wanted, f"less than {ratio(bound)} (never reached within the budget)"
    value = fields[part or "value"]
    return compare(value, wanted), (ratio if quantity == "speedup" else number)(value)
