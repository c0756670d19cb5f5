"""Closed-form initialisers by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

Initialiser = Callable[["torch.Tensor"], object]


def _named() -> dict[str, Initialiser]:
    from torch.nn import init

    return {
        "glorot-uniform": init.xavier_uniform_,  # Glorot and Bengio 2010, equation 16
        "glorot-normal": init.xavier_normal_,
        "he-uniform": lambda weight: init.kaiming_uniform_(weight, nonlinearity="relu"),  # He et al. 2015, section 2.2
        "he-normal": lambda weight: init.kaiming_normal_(weight, nonlinearity="relu"),
        "orthogonal": init.orthogonal_,  # Saxe et al. 2014
    }


NAMES = ("glorot-uniform", "glorot-normal", "he-uniform", "he-normal", "orthogonal")


def apply(name: str, model: torch.nn.Module, seed: int) -> None:
    """Initialise the weights of linear and convolutional layers in place; their biases become zero.

    Norms, embeddings and free parameters keep what the model's library gave them.
    """
    import torch

    initialise = _named()[name]
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        for module in model.modules():
            if isinstance(module, torch.nn.Linear | torch.nn.Conv1d | torch.nn.Conv2d | torch.nn.Conv3d):
                initialise(module.weight)
                if module.bias is not None:
                    module.bias.zero_()
