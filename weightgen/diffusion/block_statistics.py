"""Mean and deviation of blocks of weights, layer by layer."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from weightgen.diffusion.blocks import Layout


@dataclass(frozen=True)
class Statistics:
    """Mean and standard deviation of the values of each layer, over the training networks alone; (layers,) each."""

    mean: Tensor
    std: Tensor

    @classmethod
    def of(cls, layout: Layout, blocks: Tensor) -> Statistics:
        """Return those of blocks (networks, blocks, size). A layer whose values are all equal gets deviation 1."""
        means, stds = [], []
        for i in range(len(layout.layers)):
            mine = layout.layer_of_block == i
            values = blocks[:, mine][:, layout.mask[mine]].double()
            means.append(values.mean())
            stds.append(values.std(correction=0))
        std = torch.stack(stds)
        return cls(torch.stack(means).float(), torch.where(std > 0, std, 1.0).float())

    def normalise(self, layout: Layout, blocks: Tensor) -> Tensor:
        """Return blocks (..., blocks, size) of mean 0 and deviation 1 in each layer; padding is zero."""
        layer = layout.layer_of_block
        mean, std = self.mean[layer, None].to(blocks.device), self.std[layer, None].to(blocks.device)
        return (blocks - mean) / std * layout.mask.to(blocks.device)

    def denormalise(self, layout: Layout, blocks: Tensor) -> Tensor:
        """Return the inverse of `normalise`; padding is zero."""
        layer = layout.layer_of_block
        mean, std = self.mean[layer, None].to(blocks.device), self.std[layer, None].to(blocks.device)
        return (blocks * std + mean) * layout.mask.to(blocks.device)
