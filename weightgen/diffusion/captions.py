"""Captions: clauses as people would ask for them, with a number, a word or nothing for the strength."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from weightgen.diffusion.concepts import Clause
from weightgen.diffusion.edits import EDITS, Edit
from weightgen.diffusion.prompt import USUAL

WORDS: dict[float, tuple[str, ...]] = {
    0.35: ("subtle {name}", "slight {name}", "{name}, subtle"),
    USUAL: ("{name}",),
    1.0: ("strong {name}", "heavy {name}", "{name} at full strength"),
}
"""How a strength is said without a number, for the few that can be."""
NUMBERS = (
    "{name}, strength {strength:g}",
    "{name} at {percent:g} percent",
    "{percent:g}% {name}",
    "{name} at strength {strength:g}",
    "{name}, {percent:g} %",
)
OPENINGS = ("{}", "{}", "{}", "make it {}", "a photograph with {}", "apply {}")
CONNECTIVES = (", then ", " and ", " plus ", "; ", " with ")


def captions(
    clauses: Sequence[Clause], count: int, generator: np.random.Generator, held_out: bool = False
) -> tuple[str, ...]:
    """Return different captions of clauses, at most `count` of them.

    `held_out`: with the names that no training caption has, and those alone.
    """
    found: dict[str, None] = {}
    for _ in range(8 * count):  # a single clause has few captions: give up some time
        found[caption(clauses, generator, held_out)] = None
        if len(found) == count:
            break
    return tuple(found)


def caption(clauses: Sequence[Clause], generator: np.random.Generator, held_out: bool = False) -> str:
    """Return one caption, drawn from names, forms of strength, openings and connectives."""
    parts = [_part(EDITS[c.operation], c.strength, generator, held_out) for c in clauses]
    text = parts[0]
    for part in parts[1:]:
        text += _one(CONNECTIVES, generator) + part
    return _one(OPENINGS, generator).format(text)


def _part(edit: Edit, strength: float, generator: np.random.Generator, held_out: bool) -> str:
    name = _one(edit.held_out if held_out else edit.known, generator)
    in_words = strength in WORDS and generator.random() < 0.5
    form = _one(WORDS[strength] if in_words else NUMBERS, generator)
    return form.format(name=name, strength=strength, percent=round(100 * strength, 6))


def _one(choices: Sequence[str], generator: np.random.Generator) -> str:
    return choices[int(generator.integers(len(choices)))]
