"""What tells edited patches from made ones: pix2pix's discriminator, small, and one for each network of a stack.

Isola et al. 2017, section 3.2.2, with the least-squares loss of Mao et al. 2017. It sees a photo beside its edit, and
judges patches of 18 pixels, where pix2pix's 70 would be more than a crop.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

LAYERS = ((6, 16, 4, 2), (16, 32, 4, 2), (32, 1, 3, 1))
"""Inputs, outputs, kernel and stride of each convolution; a leaky ReLU (0.2) lies between them."""


def fresh_critic(seed: int) -> dict[str, Tensor]:
    """Return initial weights by name, normal with deviation 0.02 as pix2pix's are."""
    generator = torch.Generator().manual_seed(seed)
    found: dict[str, Tensor] = {}
    for i, (inputs, outputs, kernel, _) in enumerate(LAYERS):
        found[f"{i}.weight"] = 0.02 * torch.randn(outputs, inputs, kernel, kernel, generator=generator)
        found[f"{i}.bias"] = torch.zeros(outputs)
    return found


def critics_loss(critic: Mapping[str, Tensor], images: Tensor, made: Tensor, targets: Tensor) -> Tensor:
    """Return the losses of K networks and of their critics, summed, (K,).

    `critic`: weights, (K, ...). `images` (K or 1, N, 3, H, W), `made` and `targets` (K, N, 3, H, W). A network learns
    to be taken for real by a critic that stands still, a critic to judge a network that stands still.
    """
    still = {name: tensor.detach() for name, tensor in critic.items()}
    fooling = (judged(still, images, made) - 1).square()
    judging = (judged(critic, images, targets) - 1).square() + judged(critic, images, made.detach()).square()
    return (fooling + judging / 2).flatten(1).mean(1)


def judged(critic: Mapping[str, Tensor], images: Tensor, edited: Tensor) -> Tensor:
    """Return the verdict on each patch, (K, N, h, w): 1 for real, 0 for made."""
    count, batch = edited.shape[:2]
    both = torch.cat([images.expand_as(edited), edited], dim=2)
    hidden = both.transpose(0, 1).flatten(1, 2)
    for i, (_, _, _, stride) in enumerate(LAYERS):
        weight, bias = critic[f"{i}.weight"].flatten(0, 1), critic[f"{i}.bias"].flatten()
        hidden = functional.conv2d(hidden, weight, bias, stride, padding=1, groups=count)
        if i < len(LAYERS) - 1:
            hidden = functional.leaky_relu(hidden, 0.2)
    return hidden.reshape(batch, count, *hidden.shape[2:]).transpose(0, 1)
