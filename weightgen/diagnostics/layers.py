"""Rows of many layers folded into few: repeated blocks become one row, from their first value to their last."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from weightgen.diagnostics.measure import Row

NUMBER = re.compile(r"(?<![^.])\d+(?![^.])")


@dataclass(frozen=True)
class Folded:
    """Layers whose names differ only in the numbers that they have between dots."""

    label: str
    """The name, a `*` for each number, and how many layers that is; the name itself where it stands alone."""
    rows: tuple[Row, ...]

    def ends(self, key: str) -> tuple[float, ...]:
        """Return a value of the first and of the last layer, or of the only one."""
        values = [row.values[key] for row in self.rows]
        return (values[0], values[-1]) if len(values) > 1 else (values[0],)


def fold(rows: Sequence[Row]) -> list[Folded]:
    """Return the rows folded, in the order in which the first of each appears."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(NUMBER.sub("*", row.layer), []).append(row)
    return [
        Folded(f"{label}  x {len(found)}" if len(found) > 1 else found[0].layer, tuple(found))
        for label, found in groups.items()
    ]
