"""Closed-form initialisers by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

INITIALISERS: dict[str, tuple[str, dict[str, Any]]] = {
    "glorot-uniform": ("xavier_uniform_", {}),  # Glorot and Bengio 2010, equation 16
    "glorot-normal": ("xavier_normal_", {}),
    "he-uniform": ("kaiming_uniform_", {"nonlinearity": "relu"}),  # He et al. 2015, section 2.2
    "he-normal": ("kaiming_normal_", {"nonlinearity": "relu"}),
    "orthogonal": ("orthogonal_", {}),  # Saxe et al. 2014
}
"""Name -> function of torch.nn.init and its options."""


def apply(name: str, model: torch.nn.Module, seed: int) -> None:
    """Initialise the weights of linear and convolutional layers in place; their biases become zero.

    Norms, embeddings and free parameters keep what the model's library gave them.
    """
    import torch

    function, options = INITIALISERS[name]
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        for module in model.modules():
            if isinstance(module, torch.nn.Linear | torch.nn.Conv1d | torch.nn.Conv2d | torch.nn.Conv3d):
                getattr(torch.nn.init, function)(module.weight, **options)
                if module.bias is not None:
                    module.bias.zero_()
