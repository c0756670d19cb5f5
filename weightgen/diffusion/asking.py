"""How a training step asks for concepts: wordings, and strengths that no collected network has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import torch
from torch import Tensor

from weightgen.diffusion.concepts import Clause, Concept
from weightgen.diffusion.condition import Condition, condition
from weightgen.diffusion.domain import BETWEEN
from weightgen.diffusion.edits import EDITS
from weightgen.diffusion.prompt import Phrase, parse
from weightgen.errors import InputError, UsageError, printable

NEXT = 0.02  # strengths that differ by less are alike
WEAKEST = 0.15  # of strengths that are drawn anew: below it an edit can hardly be seen


@dataclass(frozen=True)
class Asked:
    """One concept as a step asks for it."""

    concept: Concept
    """With the strengths that are asked for."""
    phrases: tuple[Phrase, ...]
    is_collected: bool
    """Whether these are the strengths that a network was collected for."""


@dataclass(frozen=True)
class Asking:
    """How training asks for concepts, and what it never asks for, since it is held out."""

    fresh: float = 0.0
    """Share of prompts whose strengths are drawn anew."""
    mixed: float = 0.0
    """Share of prompts that ask for a pair of operations drawn anew instead, in any order, at any strengths."""
    operations: tuple[str, ...] = ()
    """What pairs are drawn from."""
    held_out: frozenset[frozenset[str]] = frozenset()
    """Sets of operations that no pair drawn anew may be."""

    @classmethod
    def of(cls, learned: Iterable[Concept], others: Iterable[Concept], fresh: float, mixed: float) -> Asking:
        """Return how to ask for the `learned` concepts without asking for a composition of the `others`."""
        operations = sorted({c.operation for concept in learned for c in concept.clauses})
        held_out = frozenset(frozenset(c.operation for c in o.clauses) for o in others if len(o.clauses) > 1)
        if all(frozenset(pair) in held_out for pair in combinations(operations, 2)):
            mixed = 0.0
        return cls(fresh, mixed, tuple(operations), held_out)

    def ask(self, concept: Concept, generator: np.random.Generator) -> Asked:
        """Draw names of a concept's clauses, and by their shares strengths or a pair; or one of its captions."""
        if not concept.clauses:
            return Asked(concept, tuple(parse(_one(concept.captions, generator))), True)
        clauses, anew = concept.clauses, True
        if generator.random() < self.mixed:
            clauses = tuple(Clause(name, _strength(generator)) for name in self._pair(generator))
        elif generator.random() < self.fresh:
            clauses = tuple(replace(c, strength=_strength(generator)) for c in clauses)
        else:
            anew = False
        phrases = tuple(Phrase(_one(EDITS[c.operation].known, generator), c.strength) for c in clauses)
        return Asked(replace(concept, clauses=clauses), phrases, not anew)

    def _pair(self, generator: np.random.Generator) -> list[str]:
        while True:
            pair = [self.operations[i] for i in generator.choice(len(self.operations), 2, replace=False)]
            if frozenset(pair) not in self.held_out:
                return pair


def phrases_of(concepts: Iterable[Concept]) -> list[str]:
    """Return all phrases that these concepts are ever asked for with, each once, in order."""
    found: dict[str, None] = {}
    for concept in concepts:
        found |= dict.fromkeys(name for c in concept.clauses for name in EDITS[c.operation].known)
        found |= dict.fromkeys(p.text for caption in concept.captions for p in parse(caption))
    return list(found)


def check_askable(concepts: Iterable[Concept], where: str) -> None:
    """Raise InputError, beginning with `where`, for a concept that no prompt can ask for."""
    for concept in concepts:
        shown = f"{printable(where)}: concept '{printable(concept.name, 60)}'"
        for clause in concept.clauses:
            if clause.operation not in EDITS:
                raise InputError(f"{shown}: '{printable(clause.operation, 60)}' is no operation that is known")
            if not 0 < clause.strength <= 1:
                raise InputError(f"{shown}: expected strengths above 0 and up to 1, found {clause.strength:g}")
        if not concept.clauses and not concept.captions:
            raise InputError(f"{shown}: has no caption. Collect it again, with one.")
        for caption in concept.captions:
            try:
                said = bool(parse(caption))
            except UsageError as error:
                raise InputError(f"{shown}: caption '{printable(caption, 60)}': {error}") from error
            if not said:
                raise InputError(f"{shown}: caption '{printable(caption, 60)}' asks for nothing. Say what it shows.")


def look_up(prompts: Sequence[Sequence[Phrase]], embeddings: Mapping[str, Tensor]) -> Condition:
    """Return the condition of prompts whose phrases' embeddings are known."""
    return condition(prompts, torch.stack([embeddings[p.text] for prompt in prompts for p in prompt]))


def _strength(generator: np.random.Generator) -> float:
    """Return a strength that is not one of those that are held out, nor next to one."""
    while True:
        found = float(generator.uniform(WEAKEST, 1))
        if all(abs(found - held_out) > NEXT for held_out in BETWEEN):
            return found


def _one(choices: Sequence[str], generator: np.random.Generator) -> str:
    return choices[int(generator.integers(len(choices)))]
