"""The axes of a source and a target together: by the table of their family, or derived."""

from __future__ import annotations

from weightgen.errors import CoverageError, UsageError
from weightgen.models.architecture import Architecture
from weightgen.models.derive import derive_pair
from weightgen.models.layout import Layout


def find_layouts(source: Architecture, target: Architecture) -> tuple[tuple[Layout, Layout] | None, str]:
    """Return the axes of both sides, or None and why; raises UsageError for two different families."""
    try:
        pair = source.layout(), target.layout()
    except CoverageError as error:
        return derive_pair(source, target), str(error)
    if pair[0] is None or pair[1] is None:
        return derive_pair(source, target), ""
    if pair[0].family.name != pair[1].family.name:
        raise UsageError(
            f"different families: the source is {pair[0].family.name} ({source.kind}), "
            f"the target {pair[1].family.name} ({target.kind})"
        )
    return (pair[0], pair[1]), ""
