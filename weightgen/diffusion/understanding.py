"""What a generator knows of a prompt's clauses, and what it takes them for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from weightgen.diffusion.phrases import Neighbour, PhraseBook
from weightgen.diffusion.prompt import Phrase
from weightgen.diffusion.text import TextEncoder

NEIGHBOURS = 3


@dataclass(frozen=True)
class Understood:
    """One clause of the prompt, and what the generator knows of it."""

    phrase: Phrase
    neighbours: tuple[Neighbour, ...]
    """Trained phrases, the nearest first."""
    far: bool
    """Whether even the nearest is unlike it."""
    snapped: bool
    """Whether the nearest stands for it in what the generator is asked first; see `PhraseBook.snapped`."""

    def to_json(self) -> dict[str, Any]:
        """Return plain values for the manifest and --json."""
        nearest = {n.text: round(n.cosine, 3) for n in self.neighbours}
        return {
            "phrase": self.phrase.text,
            "strength": self.phrase.strength,
            "nearest": nearest,
            "far": self.far,
            "snapped": self.snapped,
        }


def understand(book: PhraseBook, encoder: TextEncoder, phrases: Sequence[Phrase], snap: bool) -> tuple[Understood, ...]:
    """Return what a generator that was trained on a book of phrases knows of others, and which of them it replaces."""
    found = []
    for phrase, near in zip(phrases, book.nearest(encoder.embed([p.text for p in phrases]), NEIGHBOURS), strict=True):
        far = not near or near[0].cosine < book.far
        found.append(Understood(phrase, tuple(near), far, snap and not far and near[0].text != phrase.text))
    return tuple(found)
