"""Which blocks a shallower network keeps.

`first` is weight selection's rule, `ends` removes the middle (weight subcloning), `influence` drops the blocks
with the smallest mean of 1 - cos(input, output) (Minitron), `spread` keeps evenly spaced ones (DistilBERT).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from weightgen.errors import UsageError
from weightgen.models.axes import Axis
from weightgen.models.selection import Indices


def first(source: int, target: int) -> Indices:
    """Keep the first blocks."""
    return np.arange(target, dtype=np.int64)


def spread(source: int, target: int) -> Indices:
    """Keep evenly spaced blocks, the first and the last among them."""
    if target == 1:
        return np.zeros(1, dtype=np.int64)
    return np.arange(target, dtype=np.int64) * (source - 1) // (target - 1)


def ends(source: int, target: int) -> Indices:
    """Keep ceil(target / 2) first and floor(target / 2) last blocks."""
    head = (target + 1) // 2
    return np.concatenate([np.arange(head), np.arange(source - (target - head), source)]).astype(np.int64)


def influence(scores: np.ndarray, target: int) -> Indices:
    """Keep the blocks of highest influence, in order."""
    return np.sort(np.argsort(-scores, kind="stable")[:target])


def _by_influence(source: int, target: int, scores: np.ndarray | None) -> Indices:
    if scores is None:
        raise UsageError("'--depth influence' needs --calibrate; without data: first|spread|ends")
    return influence(scores, target)


RULES: dict[str, Callable[[int, int, np.ndarray | None], Indices]] = {
    "first": lambda source, target, scores: first(source, target),
    "spread": lambda source, target, scores: spread(source, target),
    "ends": lambda source, target, scores: ends(source, target),
    "influence": _by_influence,
}
"""From the blocks of source and target, and the influence of the source's where it is known, (source,)."""


def choose_blocks(
    axis: Axis,
    source: int,
    target: int,
    rule: str | Sequence[int],
    scores: np.ndarray | None = None,
    pinned: bool = False,
    period: int = 1,
) -> Indices:
    """Return the kept blocks of one stack, ascending.

    `pinned` says that block 0 differs from the rest (it changes resolution or width) and must stay first; `period`
    after how many blocks their kinds repeat: whole periods are kept, so that each block keeps its kind.
    Raises UsageError for a deeper target, an unknown rule, or a list that does not fit.
    """
    if target > source:
        raise UsageError(f"depth {axis}: the target has {target} blocks, the source {source}: nothing to cut them from")
    if not isinstance(rule, str):
        kept = np.asarray(list(rule), dtype=np.int64)
        if len(kept) != target or np.any(np.diff(kept) <= 0) or kept.min() < 0 or kept.max() >= source:
            raise UsageError(
                f"depth {axis}: expected {target} ascending block numbers below {source}, found {list(map(int, kept))}"
            )
    elif source == target:
        return np.arange(source, dtype=np.int64)
    elif period > 1:
        if source % period or target % period:
            return first(source, target)
        summed = None if scores is None else scores.reshape(-1, period).sum(axis=1)
        periods = choose_blocks(axis, source // period, target // period, rule, summed, pinned)
        return (periods[:, None] * period + np.arange(period)).reshape(-1)
    else:
        if pinned and scores is not None:
            scores = np.concatenate([[np.inf], scores[1:]])
        try:
            kept = RULES[rule](source, target, scores)
        except UsageError as error:
            raise UsageError(f"depth {axis}: {error}") from error
    if pinned and kept[0] != 0:
        raise UsageError(f"depth {axis}: block 0 changes the width or resolution and must be kept")
    return kept
