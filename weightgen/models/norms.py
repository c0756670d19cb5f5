"""Which modules normalise."""

from __future__ import annotations

from torch import nn


def is_norm(module: nn.Module) -> bool:
    """Tell whether a module normalises what passes it: one of torch's, or one that is called so and has no layers."""
    known = nn.modules.batchnorm._NormBase | nn.LayerNorm | nn.GroupNorm | nn.RMSNorm | nn.LocalResponseNorm
    if isinstance(module, known):
        return True
    layers = nn.Linear | nn.Embedding | nn.modules.conv._ConvNd
    return "norm" in type(module).__name__.lower() and not any(isinstance(m, layers) for m in module.modules())
