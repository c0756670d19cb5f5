"""What all denoisers have in common: the layout of blocks, and the scale of their values."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from weightgen.diffusion.base import BaseNetwork
from weightgen.diffusion.block_statistics import Statistics
from weightgen.diffusion.blocks import Layout
from weightgen.diffusion.condition import Condition


class Denoiser(nn.Module):
    """Predicts the blocks of networks from noisy ones and a prompt.

    Blocks are differences from the base, normalised by layer; the statistics, of training networks alone, are buffers.
    A final one inherits from diffusers' ModelMixin in its own module, which is where diffusers looks for that name.
    """

    config: Any
    mean: Tensor
    std: Tensor
    mask: Tensor

    def __init__(self, layout: dict[str, Any]) -> None:
        super().__init__()
        self.layout = Layout.from_json(layout, "denoiser/config.json")
        self.register_buffer("mean", torch.zeros(len(self.layout.layers)))
        self.register_buffer("std", torch.ones(len(self.layout.layers)))
        self.register_buffer("mask", self.layout.mask.float(), persistent=False)

    def forward(self, noisy: Tensor, timestep: Tensor, condition: Condition) -> Tensor:
        """Return the prediction, (N, blocks, size), zero in the padding.

        `noisy`: (N, blocks, size). `timestep`: (N,) from 0 to 1000, or one for all.
        """
        raise NotImplementedError

    def begin(self, base: BaseNetwork, clean: Tensor) -> None:
        """Take over what is known before training: the base, and training networks' normalised blocks (K, ...)."""

    def set_statistics(self, statistics: Statistics) -> None:
        """Take over mean and deviation of each layer's differences from the base."""
        self.mean.copy_(statistics.mean)
        self.std.copy_(statistics.std)

    def normalise(self, differences: Tensor) -> Tensor:
        """Return blocks (..., blocks, size) as this denoiser knows them."""
        return Statistics(self.mean, self.std).normalise(self.layout, differences)

    def denormalise(self, blocks: Tensor) -> Tensor:
        """Return the inverse of `normalise`; differentiable."""
        return Statistics(self.mean, self.std).denormalise(self.layout, blocks)

    def weights(self, base: BaseNetwork, blocks: Tensor) -> dict[str, Tensor]:
        """Return the tensors (N, *shape) of the networks that normalised blocks (N, blocks, size) stand for.

        Differentiable: with `translate` or `torch.func.functional_call`, a network's own loss goes back to its blocks.
        """
        return base.assemble(self.denormalise(blocks))
