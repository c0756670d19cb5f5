"""What a denoiser's tokens begin with: where a block lies, how noisy it is, and what the prompt asks for."""

from __future__ import annotations

import math
from typing import get_args

import torch
from diffusers.models.embeddings import TimestepEmbedding, Timesteps, get_timestep_embedding
from torch import Tensor, nn

from weightgen.diffusion.blocks import Kind, Layout
from weightgen.diffusion.condition import Condition
from weightgen.diffusion.prompt import MOST_CLAUSES


class BlockEmbedding(nn.Module):
    """Which block, of which layer, of which type, at which row."""

    rows: Tensor
    layers: Tensor
    kinds: Tensor

    def __init__(self, layout: Layout, width: int) -> None:
        super().__init__()
        self.block = nn.Embedding(len(layout), width)
        self.layer = nn.Embedding(len(layout.layers), width)
        self.kind = nn.Embedding(len(get_args(Kind)), width)
        for table in (self.block, self.layer, self.kind):
            nn.init.normal_(table.weight, std=0.5)
        rows = torch.tensor([b.row for b in layout.blocks])
        kinds = torch.tensor([get_args(Kind).index(layer.kind) for layer in layout.layers])
        self.register_buffer("rows", get_timestep_embedding(rows, width), persistent=False)
        self.register_buffer("layers", layout.layer_of_block, persistent=False)
        self.register_buffer("kinds", kinds[layout.layer_of_block], persistent=False)

    def forward(self) -> Tensor:
        """Return the embedding of every block, (blocks, width)."""
        found: Tensor = self.block.weight + self.layer(self.layers) + self.kind(self.kinds) + self.rows
        return found


class TimeEmbedding(nn.Module):
    """How noisy the blocks are."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.waves = Timesteps(width, flip_sin_to_cos=True, downscale_freq_shift=0)
        self.dense = TimestepEmbedding(width, width)

    def forward(self, timestep: Tensor, count: int) -> Tensor:
        """Return (count, width) for timesteps (count,), or one for all."""
        weight = self.dense.linear_1.weight
        found: Tensor = self.dense(self.waves(timestep.to(weight.device).expand(count)).to(weight.dtype))
        return found


class ClauseEmbedding(nn.Module):
    """A token for each clause, and one that is always there: all that an empty prompt has.

    A clause's embedding is multiplied by its strength, which sentence encoders hardly see in the words themselves.
    """

    def __init__(self, text_width: int, width: int) -> None:
        super().__init__()
        self.scale = math.sqrt(text_width)  # of vectors of norm 1, so that their numbers have deviation 1
        self.enter = nn.Linear(text_width + 1, width)
        self.place = nn.Parameter(0.5 * torch.randn(MOST_CLAUSES, width))
        self.leave = nn.Sequential(nn.SiLU(), nn.Linear(width, width))
        self.null = nn.Parameter(torch.randn(width))

    def forward(self, condition: Condition) -> tuple[Tensor, Tensor, Tensor]:
        """Return tokens (N, 1 + clauses, width), where they are absent (True), and the sum of the present ones."""
        strengths = condition.strengths.unsqueeze(-1)
        features = torch.cat([condition.embeddings * self.scale * strengths, strengths], -1).to(self.null.dtype)
        # Places come in before the nonlinearity: added behind it, they would leave the sum blind to the order.
        clauses = self.leave(self.enter(features) + self.place) * condition.mask.unsqueeze(-1)
        tokens = torch.cat([self.null.expand(len(condition), 1, -1), clauses], 1)
        absent = torch.cat([condition.mask.new_zeros(len(condition), 1), ~condition.mask], 1)
        return tokens, absent, tokens.sum(1)
