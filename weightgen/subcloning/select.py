"""Element selection: which indices of an axis a smaller network keeps.

Weight selection is Xu et al., ICLR 2024 (arXiv 2311.18823); importance ranking is Samragh et al.
(arXiv 2312.09299) and Minitron (arXiv 2407.14679).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping

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


def _random(source: int, target: int, axis: Axis, seed: int) -> Indices:
    # One draw per axis: a stable hash of its name, so that tensors sharing the axis agree in any order of calls.
    rng = np.random.default_rng([seed, zlib.crc32(str(axis).encode())])
    return np.sort(rng.choice(source, target, replace=False)).astype(np.int64)


CHOICES: dict[str, str] = {
    "uniform": "evenly spread (weight selection)",
    "consecutive": "the first ones",
    "random": "a random set per axis, drawn from --seed",
    "importance": "the highest scores",
}

Chooser = Callable[[Axis, int, int], Indices]


def make_chooser(choose: str, seed: int, scores: Mapping[Axis, np.ndarray] | None = None) -> Chooser:
    """Return the function (source axis, source size, target size) -> indices for one way of choosing."""

    def chooser(axis: Axis, source: int, target: int) -> Indices:
        if source == target:
            return np.arange(source, dtype=np.int64)
        if choose == "random":
            return _random(source, target, axis, seed)
        if choose == "importance" and scores is not None and axis in scores:
            return ranked(scores[axis], target)
        return consecutive(source, target) if choose == "consecutive" else uniform(source, target)

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
