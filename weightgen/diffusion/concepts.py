"""A concept: what one small network is trained to do, said in clauses, in captions, and in the split it belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from pydantic import ConfigDict, TypeAdapter, ValidationError

from weightgen.errors import InputError, printable

Split = Literal["train", "paraphrase", "strength", "composition", "operation"]
"""Trained, or held out: a new wording of a trained concept, a strength between trained ones, a pair of trained
operations that never met, an operation that was never seen."""
SPLITS: tuple[Split, ...] = get_args(Split)


@dataclass(frozen=True)
class Clause:
    """One operation, and how much of it: x becomes (1 - strength) x + strength operation(x)."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    operation: str
    """A key of `EDITS`."""
    strength: float
    """In (0, 1]."""


@dataclass(frozen=True)
class Concept:
    """Clauses that are applied in order, and how people ask for them."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    name: str
    """Unique, and fit for a file name: lower-case words joined by hyphens and plus signs."""
    clauses: tuple[Clause, ...]
    """Empty where a concept is given by examples alone."""
    captions: tuple[str, ...]
    split: Split = "train"


_CONCEPTS = TypeAdapter(tuple[Concept, ...])


def to_json(concepts: Sequence[Concept]) -> list[dict[str, Any]]:
    """Return concepts as plain values that `json` writes."""
    found: list[dict[str, Any]] = _CONCEPTS.dump_python(tuple(concepts), mode="json")
    return found


def from_json(values: Any, where: str) -> tuple[Concept, ...]:
    """Return concepts from what `json` read; raises InputError naming the field that is wrong."""
    try:
        found = _CONCEPTS.validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        field = printable(".".join(map(str, first["loc"])))
        raise InputError(f"{printable(where)}: {field}: {first['msg'].lower()}") from error
    names = [c.name for c in found]
    twice = next((n for n in names if names.count(n) > 1), None)
    if twice is not None:
        raise InputError(f"{printable(where)}: two concepts are called '{printable(twice)}'")
    return found
