"""A deep plain MLP that timm can build by name once this file is imported: `timm:deep_mlp`.

Neither timm nor transformers has a deep network of linear layers and ReLU alone, which half of the literature on
initialisation is about. timm's registry is open: a function registered there is reached as any of its models is.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from timm.models import register_model
from torch import Tensor, nn

SIZE = 28


class DeepMlp(nn.Module):
    """Flattened images through `depth` hidden layers of `width` units with ReLU, then a linear classifier."""

    def __init__(self, depth: int = 16, width: int = 64, in_chans: int = 1, num_classes: int = 10) -> None:
        super().__init__()
        self.num_classes, self.in_chans = num_classes, in_chans
        pixels = in_chans * SIZE**2
        self.pretrained_cfg = self.default_cfg = {"input_size": (in_chans, SIZE, SIZE), "num_classes": num_classes}
        widths = [pixels, *[width] * depth]
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.head = nn.Linear(width, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (items, classes) of images (items, channels, side, side)."""
        x = images.flatten(1)
        for layer in self.hidden:
            x = layer(x).relu()
        return self.head(x)  # type: ignore[no-any-return]


@register_model
def deep_mlp(pretrained: bool = False, **arguments: Any) -> DeepMlp:
    """Return a new `DeepMlp`; what timm always passes and a plain module has no use for is dropped."""
    own = ("depth", "width", "in_chans", "num_classes")
    return DeepMlp(**{name: value for name, value in arguments.items() if name in own})
