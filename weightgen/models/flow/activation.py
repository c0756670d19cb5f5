"""Which modules and functions are activations: modules are asked by their values, not by their names."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

Activation = Callable[[Tensor], Tensor]

FUNCTIONS = frozenset(
    (
        *("celu", "elu", "gelu", "hardshrink", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu"),
        *("logsigmoid", "mish", "prelu", "relu", "relu6", "rrelu", "selu", "sigmoid"),
        *("silu", "sin", "softplus", "softshrink", "softsign", "tanh", "tanhshrink", "threshold"),
    )
)
"""Elementwise functions of torch that are used as activations."""
PROBE = (-3.0, -1.7, -1.0, -0.4, -0.1, 0.0, 0.2, 0.5, 0.9, 1.3, 2.1, 3.2)


def is_activation(module: nn.Module) -> bool:
    """Tell whether a module is an activation: without weights, elementwise, and not affine in what it reads.

    Dropout and stochastic depth (at rest), pools, norms and reshapes are none.
    """
    if next(module.parameters(), None) is not None or next(module.children(), None) is not None:
        return False
    x = torch.tensor(PROBE, dtype=torch.float64)
    zero, one = x.new_zeros(1), x.new_ones(1)
    try:
        with torch.no_grad():
            together, apart = module(x.clone()), torch.cat([module(value.clone()) for value in torch.split(x, 1)])
            affine = torch.allclose(module(x + 1) - together, module(one) - module(zero), atol=1e-9)
    except Exception:  # modules are arbitrary code, and most of them expect something else
        return False
    elementwise = together.shape == x.shape and together.dtype == x.dtype and torch.allclose(together, apart)
    return elementwise and not affine
