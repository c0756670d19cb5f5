"""Freezing part of a network where it began: tensors that training leaves as they are."""

from __future__ import annotations

from collections.abc import Mapping

from weightgen.errors import UsageError


def first_tensors(sizes: Mapping[str, int], share: float) -> list[str]:
    """Return the names of the first tensors, from the input on, whose share of all parameters is nearest to `share`.

    Raises UsageError for a share outside [0, 1).
    """
    if not 0 <= share < 1:
        raise UsageError(f"freeze: expected a share of at least 0 and below 1, found {share:g}")
    total, done, best = sum(sizes.values()), 0, 0
    distance = share * total
    for i, size in enumerate(sizes.values()):
        done += size
        if abs(done - share * total) < distance:
            best, distance = i + 1, abs(done - share * total)
    return list(sizes)[:best]
