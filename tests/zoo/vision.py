"""Tiny timm image models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import timm
import torch

from tests.zoo import Case


def image(size: int = 32) -> dict[str, torch.Tensor]:
    """Return a random batch of two images of the given size in pixels."""
    return {"x": torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))}


def case(id: str, name: str, source: Mapping[str, Any], target: Mapping[str, Any], size: int = 32) -> Case:
    """Return a timm architecture with keyword arguments for its two sizes."""
    arguments = {"source": source, "target": {**source, **target}}
    return Case(id, "timm", lambda which: timm.create_model(name, **arguments[which]), lambda: image(size))


VIT = {"embed_dim": 32, "depth": 3, "num_heads": 4, "img_size": 32, "num_classes": 5}
VIT_SMALL = {"embed_dim": 16, "depth": 2, "num_heads": 2}

CASES: list[Case] = [
    case("timm-vit", "vit_tiny_patch16_224", VIT, VIT_SMALL),
]
