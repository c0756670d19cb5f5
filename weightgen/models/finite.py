"""Values that are no numbers: counted wherever weights are published, and told in the same words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from weightgen.errors import printable

if TYPE_CHECKING:
    from torch import Tensor


def nonfinite_values(tensors: Iterable[tuple[str, Tensor]]) -> dict[str, int]:
    """Return how many values of each tensor are NaN or infinite; tensors without any are not named."""
    counts = {n: int((~t.detach().isfinite()).sum()) for n, t in tensors if t.is_floating_point()}
    return {name: count for name, count in counts.items() if count}


def nonfinite_text(found: Mapping[str, int], source: str = "the source") -> str:
    """Say how many such values there are, and where."""
    worst = printable(next(iter(found)))
    return f"{sum(found.values())} NaN or infinite values came from {source} ({len(found)} tensors, first {worst})"
