"""Tiny real models of every family, in two sizes: what the properties of the axis tables are proven on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Case:
    """One architecture: how to build its source and its smaller target, and what to feed them."""

    id: str
    library: Literal["timm", "transformers", "weightgen"]
    build: Callable[[str], Any]
    """Maps "source" or "target" to a model (randomly initialised, tiny; every axis of the target no larger)."""
    inputs: Callable[[], Mapping[str, Any]]
    """Keyword arguments of the model's forward, the same for both sizes."""
    output_axes: tuple[str, ...] = field(default=())
    """Free axes that the outputs are laid out along (`embed` for a model without a head)."""
    tolerance: float = 1e-5
    """Largest relative change of the output that counts as rounding."""


def all_cases() -> list[Case]:
    """Return every case of the zoo, in a stable order."""
    from tests.zoo import decoders, encoders, others, translators, vision

    return [*vision.CASES, *encoders.CASES, *decoders.CASES, *others.CASES, *translators.CASES]
