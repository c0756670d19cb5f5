"""The joint denoiser: a transformer over all blocks of a network at once."""

from __future__ import annotations

from typing import Any

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

from weightgen.diffusion.attention import Attention
from weightgen.diffusion.condition import Condition
from weightgen.diffusion.denoiser import Denoiser
from weightgen.diffusion.embeddings import BlockEmbedding, ClauseEmbedding, TimeEmbedding
from weightgen.errors import UsageError


class JointDenoiser(Denoiser, ModelMixin, ConfigMixin):
    """Every block is a token; tokens look at each other and at the prompt's clauses.

    Timestep and the sum of the clauses also scale, shift and gate every layer by adaptive layer norm, computed once
    for all layers, with a table of differences for each, as in PixArt-alpha (Chen et al. 2023, section 2.3). The output
    begins at zero: an untrained one says "as the base".
    """

    @register_to_config
    def __init__(
        self,
        layout: dict[str, Any],
        base_sha256: str,
        text_width: int = 384,
        width: int = 128,
        depth: int = 4,
        heads: int = 4,
    ) -> None:
        """`base_sha256`: hash of the base from which the blocks differ; `width` of a token.

        Raises UsageError for a width that the heads cannot share.
        """
        if width % (2 * heads):
            raise UsageError(f"width {width}: {heads} heads need a multiple of {2 * heads}")
        super().__init__(layout)
        self.enter = nn.Linear(self.layout.size, width)
        self.block = BlockEmbedding(self.layout, width)
        self.time = TimeEmbedding(width)
        self.clauses = ClauseEmbedding(text_width, width)
        self.modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 6 * width))
        self.layers = nn.ModuleList(_Layer(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.leave = nn.Linear(width, self.layout.size)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, noisy: Tensor, timestep: Tensor, condition: Condition) -> Tensor:
        """Return the prediction, (N, blocks, size), zero in the padding; see `Denoiser.forward`."""
        tokens, absent, summed = self.clauses(condition)
        told = self.modulation(self.time(timestep, len(noisy)) + summed).unflatten(-1, (6, -1))
        hidden = self.enter(noisy * self.mask) + self.block()
        for layer in self.layers:
            hidden = layer(hidden, tokens, absent, told)
        found: Tensor = self.leave(self.norm(hidden)) * self.mask
        return found


class _Layer(nn.Module):
    """Self-attention, cross-attention, and a perceptron."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(6, width) / width**0.5)
        self.norms = nn.ModuleList(nn.LayerNorm(width, elementwise_affine=i == 1) for i in range(3))
        self.among = Attention(width, heads)
        self.asked = Attention(width, heads)
        self.dense = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU("tanh"), nn.Linear(4 * width, width))

    def forward(self, hidden: Tensor, tokens: Tensor, absent: Tensor, told: Tensor) -> Tensor:
        """Return hidden states (N, blocks, width)."""
        parts = (told + self.table).unsqueeze(2).unbind(1)
        shift, scale, gate, shift_dense, scale_dense, gate_dense = parts
        seen = self.norms[0](hidden) * (1 + scale) + shift
        hidden = hidden + gate * self.among(seen, seen)
        hidden = hidden + self.asked(self.norms[1](hidden), tokens, absent)
        seen = self.norms[2](hidden) * (1 + scale_dense) + shift_dense
        found: Tensor = hidden + gate_dense * self.dense(seen)
        return found
