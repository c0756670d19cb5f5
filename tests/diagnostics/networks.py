"""Small networks to initialise, and how to look at their weights."""

from __future__ import annotations

import timm
import torch
from torch import Tensor, nn

VIT = {"embed_dim": 16, "depth": 2, "num_heads": 2, "img_size": 16, "patch_size": 8, "num_classes": 3}
RESNET = {"layers": (1, 1, 1, 1), "channels": (8, 8, 16, 16), "num_classes": 3}


def vit() -> nn.Module:
    torch.manual_seed(0)
    return timm.create_model("vit_tiny_patch16_224", **VIT).eval()  # type: ignore[no-any-return]


def resnet() -> nn.Module:
    torch.manual_seed(0)
    return timm.create_model("resnet18", **RESNET).eval()  # type: ignore[no-any-return]


def mlp(width: int = 8, depth: int = 4) -> nn.Sequential:
    torch.manual_seed(0)
    hidden = [layer for _ in range(depth - 2) for layer in (nn.Linear(width, width), nn.ReLU())]
    return nn.Sequential(nn.Linear(width // 2, width), nn.ReLU(), *hidden, nn.Linear(width, width // 2))


class Branch(nn.Sequential):
    """A residual branch and its shortcut."""

    def forward(self, x: Tensor) -> Tensor:
        return x + super().forward(x)  # type: ignore[no-any-return, no-untyped-call]


def residual() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 4), Branch(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4)), nn.Linear(4, 2))


def state(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def value(model: nn.Module, name: str) -> Tensor:
    return model.get_parameter(name).detach()
