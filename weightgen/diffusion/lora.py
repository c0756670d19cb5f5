"""Low-rank adapters of convolutions (Hu et al. 2021, arXiv 2106.09685): what they add to a weight is up @ down."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

DOWN, UP = ".lora_A.weight", ".lora_B.weight"


def fresh_adapters(shapes: Mapping[str, Sequence[int]], rank: int, generator: torch.Generator) -> dict[str, Tensor]:
    """Return adapters that change nothing yet, for each weight of shape (out, in, height, width).

    Named and shaped as peft has them: `net.0.lora_A.weight` (rank, in, height, width), uniform within 1 / sqrt(fan in),
    and `net.0.lora_B.weight` (out, rank, 1, 1), zero. No rank is larger than a layer has outputs.
    """
    found: dict[str, Tensor] = {}
    for name, shape in shapes.items():
        if len(shape) != 4:
            continue
        stem, own = name.removesuffix(".weight"), min(rank, shape[0])
        bound = 1 / math.sqrt(math.prod(shape[1:]))
        found[stem + DOWN] = torch.empty(own, *shape[1:]).uniform_(-bound, bound, generator=generator)
        found[stem + UP] = torch.zeros(shape[0], own, 1, 1)
    return found


def merged(base: Mapping[str, Tensor], adapters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return complete weights (K, ...) from a base (...) and K adapters stacked (K, ...); differentiable."""
    count = len(next(iter(adapters.values())))
    found = {}
    for name, tensor in base.items():
        stem = name.removesuffix(".weight")
        found[name] = tensor.expand(count, *tensor.shape)
        if stem + UP in adapters:
            change = adapters[stem + UP].flatten(2) @ adapters[stem + DOWN].flatten(2)
            found[name] = found[name] + change.reshape(found[name].shape)
    return found
