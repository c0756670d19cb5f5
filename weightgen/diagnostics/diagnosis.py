"""What all measures found of all starts."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from weightgen.diagnostics.measure import Measurement


@dataclass(frozen=True)
class Diagnosed:
    """One start and what was found of it."""

    name: str
    text: str
    """As the user wrote it."""
    kind: str
    found: dict[str, Measurement | str]
    """By measure: the measurement, or why there is none."""

    def measured(self, name: str) -> Measurement | None:
        """Return what a measure found, or None."""
        value = self.found[name]
        return value if isinstance(value, Measurement) else None


@dataclass(frozen=True)
class Diagnosis:
    """Several starts of one architecture, measured alike."""

    model: str
    data: str
    """What was measured on, in words."""
    measures: dict[str, dict[str, str]]
    """Name -> paper and what it says, in the order in which they were taken."""
    starts: list[Diagnosed]
    recipe: str
    environment: dict[str, Any]

    @property
    def empty(self) -> bool:
        """Whether nothing could be measured of any start."""
        return all(isinstance(found, str) for start in self.starts for found in start.found.values())

    def to_json(self) -> dict[str, Any]:
        """Return plain values; numbers that are not finite become null."""
        starts = [
            {
                "name": start.name,
                "text": start.text,
                "kind": start.kind,
                "found": {
                    name: {"not_measured": found} if isinstance(found, str) else _plain(asdict(found))
                    for name, found in start.found.items()
                },
            }
            for start in self.starts
        ]
        told = {"schema": 1, "model": self.model, "data": self.data, "measures": self.measures, "starts": starts}
        return {**told, "recipe": self.recipe, "environment": self.environment}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
