"""The embedded domain: edits of photos, which of them are trained, and which are held out in four ways."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from typing import TypeVar

import numpy as np

from weightgen.diffusion.captions import captions
from weightgen.diffusion.concepts import Clause, Concept, Split
from weightgen.diffusion.edits import EDITS
from weightgen.errors import UsageError

NEW = ("solarise", "neon", "duotone", "anaglyph")
"""Operations that are never trained."""
TRAINED = tuple(name for name in EDITS if name not in NEW)
STRENGTHS = (0.2, 0.35, 0.5, 0.7, 0.85, 1.0)
BETWEEN = (0.28, 0.43, 0.6, 0.78, 0.92)
"""Strengths that are never trained."""
PAIRED = (0.5, 0.7, 1.0)
"""Strengths of the operations of a pair."""
FIRST = (0.7, 1.0)
"""Strengths at which each operation is trained first: a small domain already has them all."""
LARGEST = 512
CAPTIONS = 8
"""Captions of a concept."""

Clauses = tuple[Clause, ...]
T = TypeVar("T")


def domain(train: int = 320, held_out: int = 16, seed: int = 0) -> tuple[Concept, ...]:
    """Return concepts to train, then those held out: `held_out` of each split, of new operations at most eight.

    The first concepts of a larger domain are the smaller one with the same seed, and the same ones are held out: in
    this way a curve over sizes compares like with like. Raises UsageError for sizes that there are not.
    """
    if not 1 <= train <= LARGEST:
        raise UsageError(f"concepts: expected 1 to {LARGEST} to train, found {train}")
    if not 0 <= held_out <= len(TRAINED):
        raise UsageError(f"held-out concepts: expected 0 to {len(TRAINED)} of each split, found {held_out}")
    generator = np.random.default_rng(seed)
    order = [TRAINED[i] for i in generator.permutation(len(TRAINED))]
    pairs = _shuffled([*combinations(TRAINED, 2)], generator)
    unseen, seen = pairs[: len(TRAINED)], pairs[len(TRAINED) :]

    first: list[Clauses] = [(Clause(name, FIRST[i % 2]),) for i, name in enumerate(order)]
    every: list[Clauses] = [(Clause(name, strength),) for name in order for strength in STRENGTHS]
    rest = [c for c in every if c not in first]
    trained = _named(first + _alternating(_shuffled(rest, generator), [_pair(p, generator) for p in seen]), "train")
    between = _named([(Clause(n, BETWEEN[i % len(BETWEEN)]),) for i, n in enumerate(order)], "strength")
    composed = _named([_pair(p, generator) for p in unseen], "composition")
    new = _named([(Clause(n, s),) for s in FIRST for n in NEW], "operation")
    reworded = [replace(c, name=f"{c.name}-reworded", split="paraphrase") for c in trained[: len(TRAINED)]]
    kept = [trained[:train], *(split[:held_out] for split in (reworded[:train], between, composed, new))]
    return tuple(_captioned(c, seed) for split in kept for c in split)


def name_of(clauses: Sequence[Clause]) -> str:
    """Return `sepia-70+blur-35` for clauses of strengths 0.7 and 0.35."""
    return "+".join(f"{c.operation}-{round(100 * c.strength)}" for c in clauses)


def _named(clauses: Sequence[Clauses], split: Split) -> list[Concept]:
    return [Concept(name_of(c), c, (), split) for c in clauses]


def _pair(names: tuple[str, str], generator: np.random.Generator) -> Clauses:
    """Return two operations in either order, at some of the usual strengths."""
    strengths = generator.choice(PAIRED, 2)
    return tuple(Clause(names[i], float(s)) for i, s in zip(generator.permutation(2), strengths, strict=True))


def _captioned(concept: Concept, seed: int) -> Concept:
    # A generator for each name: a concept has the same captions in domains of all sizes.
    generator = np.random.default_rng([seed, *concept.name.encode()])
    return replace(concept, captions=captions(concept.clauses, CAPTIONS, generator, concept.split == "paraphrase"))


def _alternating(some: Sequence[Clauses], others: Sequence[Clauses]) -> list[Clauses]:
    """Return one of each in turn, then what is left of the longer sequence."""
    even = min(len(some), len(others))
    mixed = [c for pair in zip(some[:even], others[:even], strict=True) for c in pair]
    return [*mixed, *some[even:], *others[even:]]


def _shuffled(items: Sequence[T], generator: np.random.Generator) -> list[T]:
    return [items[i] for i in generator.permutation(len(items))]
