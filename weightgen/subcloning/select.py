"""Element selection: which indices of an axis a smaller network keeps.

Weight selection is Xu et al., ICLR 2024 (arXiv 2311.18823); importance ranking is Samragh et al.
(arXiv 2312.09299) and Minitron (arXiv 2407.14679).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from weightgen.errors import UsageError
from weightgen.models.axes import Axis, Kind
from weightgen.models.selection import Indices, Selection


def uniform(source: int, target: int) -> Indices:
    """Spread `target` indices evenly over `source`: the published rule of weight selection.

    A step where the sizes divide, otherwise round(linspace(0, source - 1, target)), half to even, in exact integers.
    """
    if source % target == 0:
        return np.arange(target, dtype=np.int64) * (source // target)
    quotient, rest = np.divmod(np.arange(target, dtype=np.int64) * (source - 1), target - 1)
    up = (2 * rest > target - 1) | ((2 * rest == target - 1) & (quotient % 2 == 1))
    indices: Indices = quotient + up
    return indices


def consecutive(source: int, target: int) -> Indices:
    """Keep the first `target` indices."""
    return np.arange(target, dtype=np.int64)


def ranked(scores: np.ndarray, target: int) -> Indices:
    """Keep the `target` highest scores, in source order; ties go to the lower index."""
    return np.sort(np.argsort(-scores, axis=-1, kind="stable")[..., :target], axis=-1)


def rotary(source: int, target: int, interleaved: bool, axis: Axis) -> Indices:
    """Keep every m-th rotary pair, so that the kept frequencies are those of the smaller head.

    Pairs are (i, i + n/2), or (2i, 2i + 1) where interleaved. Raises UsageError where no subset of pairs has
    the frequencies theta^(-2i/n) of the target.
    """
    if source % target or target % 2:
        raise UsageError(
            f"axis {axis}: rotary head size {source} cannot become {target}: the rotation frequencies would change. "
            f"Keep {source}, or divide it by a whole number."
        )
    pairs = np.arange(target // 2, dtype=np.int64) * (source // target)
    if interleaved:
        return np.stack([2 * pairs, 2 * pairs + 1], axis=1).reshape(-1)
    return np.concatenate([pairs, pairs + source // 2])


@dataclass(frozen=True)
class Cut:
    """What a choice is asked: which indices of an axis of `source` entries a smaller one of `target` keeps."""

    axis: Axis
    source: int
    target: int
    seed: int
    scores: np.ndarray | None = None
    """Importance of the source's entries, (source,), where it is known."""


def random(cut: Cut) -> Indices:
    """Keep a random set, drawn once per axis by a stable hash of its name: tensors that share the axis agree."""
    rng = np.random.default_rng([cut.seed, zlib.crc32(str(cut.axis).encode())])
    return np.sort(rng.choice(cut.source, cut.target, replace=False)).astype(np.int64)


def importance(cut: Cut) -> Indices:
    """Keep the highest scores; an axis without scores is spread evenly."""
    return uniform(cut.source, cut.target) if cut.scores is None else ranked(cut.scores, cut.target)


CHOICES: dict[str, Callable[[Cut], Indices]] = {
    "uniform": lambda cut: uniform(cut.source, cut.target),
    "consecutive": lambda cut: consecutive(cut.source, cut.target),
    "random": random,
    "importance": importance,
}

Chooser = Callable[[Axis, int, int], Indices]


def make_chooser(choose: str, seed: int, scores: Mapping[Axis, np.ndarray] | None = None) -> Chooser:
    """Return the function (source axis, source size, target size) -> indices for one way of choosing."""

    def chooser(axis: Axis, source: int, target: int) -> Indices:
        if source == target:
            return np.arange(source, dtype=np.int64)
        return CHOICES[choose](Cut(axis, source, target, seed, (scores or {}).get(axis)))

    return chooser


def select_axis(axis: Axis, source: int, target: int, choose: Chooser, source_axis: Axis) -> Selection:
    """Choose the indices of one axis by its kind.

    Raises UsageError where the target is larger than the source, or where the kind forbids a change.
    """
    kind = axis.kind
    if source == target:
        return Selection(axis, source, np.arange(source, dtype=np.int64))
    if target > source:
        raise UsageError(
            f"axis {axis}: the target needs {target}, the source has {source}. "
            "Choose a target that is no larger than the source in any axis."
        )
    if kind is Kind.SEQUENCE or axis.name.startswith("prefix"):
        return Selection(axis, source, consecutive(source, target))
    if target < 1 and not axis.name.startswith("prefix"):
        raise UsageError(f"axis {axis}: the target has no entries")
    if kind is Kind.FREE:
        return Selection(axis, source, choose(source_axis, source, target))
    if kind in (Kind.ROTARY, Kind.ROTARY_INTERLEAVED):
        return Selection(axis, source, rotary(source, target, kind is Kind.ROTARY_INTERLEAVED, axis))
    raise UsageError(f"axis {axis}: the source has {source}, the target {target}, and this axis cannot be cut")
