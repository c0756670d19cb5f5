"""Tiny image translators."""

from __future__ import annotations

from typing import Any

import torch

from tests.zoo import Case
from weightgen.models.translator import Translator, TranslatorConfig


def photos() -> dict[str, torch.Tensor]:
    """Return a random batch of two photos."""
    return {"images": torch.rand(2, 3, 12, 16, generator=torch.Generator().manual_seed(0))}


def case(id: str, **arguments: Any) -> Case:
    """Return a translator of 12 channels, and its target of 8."""
    widths = {"source": 12, "target": 8}
    return Case(id, "weightgen", lambda which: Translator(TranslatorConfig(width=widths[which], **arguments)), photos)


CASES = [
    case("translator", layers=4),
    case("translator-shallow", layers=2),
    case("translator-placeless", layers=3, position=False),
]
