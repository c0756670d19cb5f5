"""Probes of small chains whose theory is known."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from weightgen.diagnostics.measure import Probe


def call(model: Any, batch: Any) -> Tensor:
    outputs: Tensor = model(batch["x"])
    return outputs


def cross_entropy(outputs: Tensor, batch: Any) -> Tensor:
    return nn.functional.cross_entropy(outputs, batch["labels"])


def probe_of(model: nn.Module, x: Tensor, labels: Tensor | None = None, loss: Any = None, seed: int = 0) -> Probe:
    """A probe of a model of one tensor; cross-entropy where there are labels and no other loss."""
    batch = {"x": x} if labels is None else {"x": x, "labels": labels}
    return Probe(model.eval(), batch, call, loss or (cross_entropy if labels is not None else None), "x", seed)


def chain(
    widths: list[int],
    activation: Callable[[], nn.Module] = nn.ReLU,
    sigma_w: float = math.sqrt(2),
    sigma_b: float = 0.0,
    *,
    orthogonal: bool = False,
    biased: bool = True,
    seed: int = 0,
) -> Any:
    """Linear layers of those widths, an activation between them; weights N(0, sigma_w^2 / fan-in) or orthogonal.

    Untyped, so that the layers of the nn.Sequential can be reached.
    """
    generator = torch.Generator().manual_seed(seed)
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(widths):
        layer = nn.Linear(fan_in, fan_out, bias=biased)
        with torch.no_grad():
            if orthogonal:
                nn.init.orthogonal_(layer.weight, sigma_w, generator=generator)
            else:
                layer.weight.normal_(0, sigma_w / math.sqrt(fan_in), generator=generator)
            if biased:
                layer.bias.normal_(0, sigma_b, generator=generator)
        layers += [layer, activation()]
    return nn.Sequential(*layers[:-1])


def normal(*shape: int, seed: int = 1000, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def labels(items: int, classes: int, seed: int = 0) -> Tensor:
    return torch.randint(classes, (items,), generator=torch.Generator().manual_seed(seed))
