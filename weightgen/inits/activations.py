"""Activations by name, for rules that take any."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from weightgen.errors import UsageError, did_you_mean, printable

Activation = Callable[[Tensor], Tensor]
"""An elementwise function of a tensor; a torch.nn.Module is one."""


def identity(z: Tensor) -> Tensor:
    """Return z."""
    return z


def gauss(z: Tensor) -> Tensor:
    """Return exp(-z^2 / 2)."""
    return torch.exp(-z.square() / 2)


def quick_gelu(z: Tensor) -> Tensor:
    """Return z sigmoid(1.702 z), which CLIP has for GELU."""
    return z * torch.sigmoid(1.702 * z)


def gelu_tanh(z: Tensor) -> Tensor:
    """Return GELU by way of tanh, as GPT-2 has it."""
    return F.gelu(z, approximate="tanh")


ACTIVATIONS: dict[str, Activation] = {
    "identity": identity,
    "relu": torch.relu,
    "leaky_relu": F.leaky_relu,  # slope 0.01
    "relu6": F.relu6,
    "elu": F.elu,
    "selu": F.selu,
    "gelu": F.gelu,
    "gelu_tanh": gelu_tanh,
    "quick_gelu": quick_gelu,
    "silu": F.silu,
    "swish": F.silu,
    "mish": F.mish,
    "hardswish": F.hardswish,
    "softplus": F.softplus,
    "softsign": F.softsign,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "sin": torch.sin,
    "gauss": gauss,
}


def activation_of(activation: str | Activation) -> Activation:
    """Return the activation of a name of `ACTIVATIONS`, or what is given where it can be called.

    Case does not matter, nor whether words are joined by - or _. Raises UsageError for unknown names.

    >>> float(activation_of("Leaky-ReLU")(torch.tensor(-2.0)))
    -0.019999999552965164
    """
    if callable(activation):
        return activation
    word = activation.lower().replace("-", "_")
    if word not in ACTIVATIONS:
        hint = did_you_mean(word, list(ACTIVATIONS))
        raise UsageError(
            f"unknown activation '{printable(activation)}'.{hint} Known: {', '.join(ACTIVATIONS)}, or any function"
        )
    return ACTIVATIONS[word]
