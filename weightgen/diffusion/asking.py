"""How a training step asks for concepts: wordings, and strengths that no collected network has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from weightgen.diffusion.concepts import Concept
from weightgen.diffusion.condition import Condition, condition
from weightgen.diffusion.edits import EDITS
from weightgen.diffusion.prompt import Phrase, parse

WEAKEST = 0.15  # of strengths that are drawn anew: below it an edit can hardly be seen


@dataclass(frozen=True)
class Asked:
    """One concept as a step asks for it."""

    concept: Concept
    """With the strengths that are asked for."""
    phrases: tuple[Phrase, ...]
    is_collected: bool
    """Whether these are the strengths that a network was collected for."""


def ask(concept: Concept, generator: np.random.Generator, fresh: float) -> Asked:
    """Draw names, and with probability `fresh` strengths, of a concept's clauses; or one of its captions."""
    if not concept.clauses:
        return Asked(concept, tuple(parse(_one(concept.captions, generator))), True)
    clauses = concept.clauses
    anew = generator.random() < fresh
    if anew:
        clauses = tuple(replace(c, strength=float(generator.uniform(WEAKEST, 1))) for c in clauses)
    phrases = tuple(Phrase(_one(EDITS[c.operation].known, generator), c.strength) for c in clauses)
    return Asked(replace(concept, clauses=clauses), phrases, not anew)


def phrases_of(concepts: Iterable[Concept]) -> list[str]:
    """Return all phrases that these concepts are ever asked for with, each once, in order."""
    found: dict[str, None] = {}
    for concept in concepts:
        found |= dict.fromkeys(name for c in concept.clauses for name in EDITS[c.operation].known)
        found |= dict.fromkeys(p.text for caption in concept.captions for p in parse(caption))
    return list(found)


def look_up(prompts: Sequence[Sequence[Phrase]], embeddings: Mapping[str, Tensor]) -> Condition:
    """Return the condition of prompts whose phrases' embeddings are known."""
    return condition(prompts, torch.stack([embeddings[p.text] for prompt in prompts for p in prompt]))


def _one(choices: Sequence[str], generator: np.random.Generator) -> str:
    return choices[int(generator.integers(len(choices)))]
