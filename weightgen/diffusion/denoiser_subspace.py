"""The subspace denoiser: networks as sums of components, of which the amounts are denoised."""

from __future__ import annotations

from typing import Any

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

from weightgen.diffusion.base import BaseNetwork
from weightgen.diffusion.condition import Condition
from weightgen.diffusion.denoiser import Denoiser
from weightgen.diffusion.embeddings import ClauseEmbedding, TimeEmbedding
from weightgen.diffusion.film import modulated
from weightgen.diffusion.schedules import TIMESTEPS


class SubspaceDenoiser(Denoiser, ModelMixin, ConfigMixin):
    """A perceptron says how much of each component a network has, and how its filters are scaled and shifted.

    Components begin as the principal components of the training networks, in which networks that share a base are few
    numbers (weights2weights, Dravid et al. 2024), and are learned from then on. Of noisy blocks their amounts of each
    component are looked at. Scales and shifts are those of `FilmDenoiser`, on the filters of the sum.
    """

    @register_to_config
    def __init__(
        self,
        layout: dict[str, Any],
        base_sha256: str,
        text_width: int = 384,
        width: int = 256,
        depth: int = 2,
        components: int = 64,
    ) -> None:
        """`width` and `depth` of the perceptron; of more `components` than there are networks the last stay zero."""
        super().__init__(layout)
        self.clauses = ClauseEmbedding(text_width, width)
        self.time = TimeEmbedding(width)
        self.enter = nn.Linear(components, width)
        layers: list[nn.Module] = [nn.LayerNorm(width)]
        for _ in range(depth):
            layers += [nn.Linear(width, width), nn.GELU()]
        self.body = nn.Sequential(*layers)
        self.amounts = nn.Linear(width, components)
        self.modulation = nn.Linear(width, 2 * sum(layer.rows for layer in self.layout.layers))
        self.basis = nn.Parameter(torch.zeros(components, len(self.layout), self.layout.size))
        self.register_buffer("base", torch.zeros(len(self.layout), self.layout.size))
        nn.init.normal_(self.amounts.weight, std=0.1 / width**0.5)
        for tensor in (self.amounts.bias, self.modulation.weight, self.modulation.bias):
            nn.init.zeros_(tensor)

    def begin(self, base: BaseNetwork, clean: Tensor) -> None:
        """Take over the base, and the principal components of training networks: an amount of 1 is a deviation."""
        own = base.state_dict()
        self.get_buffer("base").copy_(self.layout.split({name: own[name] for name in self.layout.shapes}))
        values = clean.flatten(1)
        _, sizes, directions = torch.linalg.svd(values - values.mean(0), full_matrices=False)
        kept = min(len(sizes), len(self.basis))
        found = sizes[:kept, None] * directions[:kept] / len(values) ** 0.5
        self.basis.data[:kept] = found.reshape(kept, *clean.shape[1:])

    def forward(self, noisy: Tensor, timestep: Tensor, condition: Condition) -> Tensor:
        """Return the prediction, (N, blocks, size), zero in the padding; see `Denoiser.forward`."""
        _, _, summed = self.clauses(condition)
        directions = nn.functional.normalize(self.basis.detach().flatten(1), dim=1)
        # At the last timestep nothing is left of the clean blocks: what is read there would be noise alone.
        left = (1 - timestep.to(noisy) / TIMESTEPS).reshape(-1, 1)
        read = left * (noisy.flatten(1) @ directions.T)
        hidden = self.body(summed + self.time(timestep, len(noisy)) + self.enter(read))
        blocks = torch.einsum("nk,kbs->nbs", self.amounts(hidden), self.basis * self.mask)
        filters = self.layout.join(self.denormalise(blocks) + self.get_buffer("base"))
        folded = modulated(self.layout, filters, self.modulation(hidden))
        return self.normalise(self.layout.split(folded) - self.get_buffer("base"))
