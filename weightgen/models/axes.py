"""Axes: one vocabulary of names for all families, and what may be done to each when its size changes."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self


class Kind(enum.Enum):
    """What may be done to an axis when its size changes."""

    FREE = "free"  # any subset, any order: the network is symmetric under permutations
    FIXED = "fixed"  # sizes must agree
    ROTARY = "rotary"  # pairs (i, i + n/2) rotate together
    ROTARY_INTERLEAVED = "rotary_interleaved"  # pairs (2i, 2i + 1) rotate together
    SEQUENCE = "sequence"  # an ordered axis: a smaller target keeps the beginning
    GRID = "grid"  # positions of a square grid: resampled
    PATCH = "patch"  # pixels of a patch or stem kernel: resampled
    CHANNELS = "channels"  # image channels: adapted
    WINDOW = "window"  # a table of relative positions: resampled
    VOCAB = "vocab"  # tokens: equal, or matched by token string
    CLASSES = "classes"  # equal, or left at init
    DEPTH = "depth"  # a stack of blocks: a subset, in order


# One vocabulary for all families: name -> kind, and whether each block has its own (local) axis.
FREE_NETWORK = ("flat", "embed", "pooled", "projection", "heads", "derived")
FREE_LOCAL = ("hidden", "head", "dim", "vdim", "group", "query", "mid", "expert")
FIXED = (
    "one",
    "kernel",
    "two",
    "three",
    "four",
    "types",
    "prefix",
    "coordinates",
    "buckets",
    "mels",
    "any",
    "halves",
    "tokens",
)
SPECIAL = {
    "rotary": Kind.ROTARY,
    "rotary_interleaved": Kind.ROTARY_INTERLEAVED,
    "positions": Kind.SEQUENCE,
    "grid": Kind.GRID,
    "patch": Kind.PATCH,
    "channels": Kind.CHANNELS,
    "window": Kind.WINDOW,
    "vocab": Kind.VOCAB,
    "classes": Kind.CLASSES,
}
LOCAL = (*FREE_LOCAL, "rotary", "rotary_interleaved")
CONSTANTS = {"one": 1, "two": 2, "three": 3, "four": 4}
RIGID_CAPTURES = ("stage",)


def kind_of(name: str) -> Kind:
    """Return the kind of the axis called `name`; `head:cross` is a second `head` of the same block."""
    base = name.partition(":")[0]
    if base in FREE_NETWORK or base in FREE_LOCAL:
        return Kind.FREE
    if base in FIXED:
        return Kind.FIXED
    if base in SPECIAL:
        return SPECIAL[base]
    raise ValueError(f"axis {name!r} is not in the vocabulary of weightgen.models.axes")


@dataclass(frozen=True, order=True)
class Axis:
    """One axis of one network: a name, and the block it belongs to unless it is the whole network's."""

    name: str
    scope: tuple[tuple[str, int], ...] = ()

    def __str__(self) -> str:
        where = ".".join(f"{capture}{value}" for capture, value in self.scope)
        return f"{self.name}@{where}" if where else self.name

    @property
    def kind(self) -> Kind:
        """The kind of this axis; captures that are no vocabulary name are depths."""
        try:
            return kind_of(self.name)
        except ValueError:
            return Kind.DEPTH


class Term(tuple[Axis, ...]):
    """A product of axes, the slowest first; it may follow the term before it inside each index of leading axes."""

    inside: int
    """How many leading axes it shares with the term before it; 0 where it simply comes after that term."""

    def __new__(cls, axes: Iterable[Axis], inside: int = 0) -> Self:
        """Make a term of the given axes."""
        term = super().__new__(cls, axes)
        term.inside = inside
        return term


Dim = tuple[Term, ...]
"""One dimension of a tensor: a concatenation of terms."""


def runs(dim: Dim) -> list[list[Term]]:
    """Split a dimension into its concatenated parts: single terms, or terms that alternate inside shared axes."""
    parts: list[list[Term]] = []
    for term in dim:
        if term.inside:
            parts[-1].append(term)
        else:
            parts.append([term])
    return parts


def dim_text(dim: Dim) -> str:
    """Write a dimension as a table does."""
    parts = []
    for run in runs(dim):
        shared = run[-1].inside if len(run) > 1 else len(run[0])
        words = [*map(str, run[0][:shared])]
        if len(run) > 1:
            words.append("{" + " + ".join(" ".join(map(str, term[shared:])) for term in run) + "}")
        parts.append(words[0] if len(words) == 1 else "(" + " ".join(words) + ")")
    return "+".join(parts)
