"""The axes of a source and a target together: by the table of their family, or derived."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from weightgen.errors import CoverageError, UsageError
from weightgen.models.architecture import Architecture
from weightgen.models.derive import derive_pair
from weightgen.models.layout import Layout


@dataclass(frozen=True)
class FoundLayouts:
    """The axes of both sides, and how they were found."""

    pair: tuple[Layout, Layout] | None
    """None where neither a table covers the two nor axes could be proven."""
    route: Literal["table", "derived", "shape"]
    why: str = ""
    """There was no better route."""


def find_layouts(source: Architecture, target: Architecture) -> FoundLayouts:
    """Return the axes of both sides by the best way there is; raises UsageError for two different families."""
    why = ""
    try:
        pair = source.layout(), target.layout()
    except CoverageError as error:
        pair, why = (None, None), f"{error}; "
    if pair[0] is not None and pair[1] is not None:
        if pair[0].family.name != pair[1].family.name:
            raise UsageError(
                f"different families: the source is {pair[0].family.name} ({source.kind}), "
                f"the target {pair[1].family.name} ({target.kind})"
            )
        return FoundLayouts((pair[0], pair[1]), "table")
    try:
        why = why or f"there is no table of {target.kind}; "
        return FoundLayouts(derive_pair(source, target), "derived", why.removesuffix("; "))
    except CoverageError as error:
        return FoundLayouts(None, "shape", f"{why}{error}")
