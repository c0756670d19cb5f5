"""The per-block denoiser: a one-dimensional UNet that sees one block at a time."""

from __future__ import annotations

from itertools import pairwise
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

GROUPS = 8  # of channels that are normalised together


class BlockDenoiser(Denoiser, ModelMixin, ConfigMixin):
    """Every block of a network by itself: residual blocks that are told which block and how noisy, and attention
    to the prompt's clauses, on three levels with skips, as Gong et al. draw it (ECCV 2024, figure of the architecture).

    The paper says no sizes; widths, heads and the learned embedding of places within a block are our own. The output
    begins at zero: an untrained one says "as the base".
    """

    @register_to_config
    def __init__(
        self,
        layout: dict[str, Any],
        base_sha256: str,
        text_width: int = 384,
        width: int = 128,
        depth: int = 3,
        patch: int = 8,
        heads: int = 4,
    ) -> None:
        """`depth`: levels, the last one of `width` channels, the others of half as many as the one after them.

        `patch` neighbouring values share a place; each level has half the places of the one before it. Raises
        UsageError for a width that cannot be halved so often.
        """
        least = GROUPS * 2 ** (depth - 1)
        if width < least or width % least:
            raise UsageError(f"width {width}: {depth} levels need a multiple of {least}")
        widths = [width >> i for i in reversed(range(depth))]
        super().__init__(layout)
        told = width
        whole = patch * 2 ** (depth - 1)
        self.length = -(-self.layout.size // whole) * whole  # which makes a whole number of places on every level
        self.block = BlockEmbedding(self.layout, told)
        self.time = TimeEmbedding(told)
        self.clauses = ClauseEmbedding(text_width, told)
        self.enter = nn.Conv1d(1, widths[0], patch, stride=patch)
        self.place = nn.Parameter(0.1 * torch.randn(widths[0], self.length // patch))
        self.down = nn.ModuleList(_Level(w, w, told, heads) for w in widths[:-1])
        pairs = list(pairwise(widths))
        self.shrink = nn.ModuleList(nn.Conv1d(a, b, 4, stride=2, padding=1) for a, b in pairs)
        self.middle = _Level(widths[-1], widths[-1], told, heads)
        self.grow = nn.ModuleList(nn.ConvTranspose1d(b, a, 4, stride=2, padding=1) for a, b in reversed(pairs))
        self.up = nn.ModuleList(_Level(2 * w, w, told, heads) for w in reversed(widths[:-1]))
        self.norm = nn.GroupNorm(GROUPS, widths[0])
        self.leave = nn.ConvTranspose1d(widths[0], 1, patch, stride=patch)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)  # type: ignore[arg-type]

    def forward(self, noisy: Tensor, timestep: Tensor, condition: Condition) -> Tensor:
        """Return the prediction, (N, blocks, size), zero in the padding; see `Denoiser.forward`."""
        count, blocks = len(noisy), len(self.layout)
        tokens, absent, summed = self.clauses(condition)
        told = (self.time(timestep, count) + summed).unsqueeze(1) + self.block()
        told = told.flatten(0, 1)
        tokens, absent = tokens.repeat_interleave(blocks, 0), absent.repeat_interleave(blocks, 0)
        padded = nn.functional.pad(noisy * self.mask, (0, self.length - self.layout.size))
        hidden = self.enter(padded.flatten(0, 1).unsqueeze(1)) + self.place
        skips = []
        for level, shrink in zip(self.down, self.shrink, strict=True):
            hidden = level(hidden, told, tokens, absent)
            skips.append(hidden)
            hidden = shrink(hidden)
        hidden = self.middle(hidden, told, tokens, absent)
        for level, grow in zip(self.up, self.grow, strict=True):
            hidden = level(torch.cat([grow(hidden), skips.pop()], 1), told, tokens, absent)
        values = self.leave(nn.functional.silu(self.norm(hidden))).reshape(count, blocks, -1)
        found: Tensor = values[..., : self.layout.size] * self.mask
        return found


class _Level(nn.Module):
    """A residual block, and a transformer block that attends to the clauses."""

    def __init__(self, before: int, width: int, told: int, heads: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.GroupNorm(GROUPS, before), nn.SiLU(), nn.Conv1d(before, width, 3, padding=1))
        self.told = nn.Sequential(nn.SiLU(), nn.Linear(told, width))
        self.second = nn.Sequential(nn.GroupNorm(GROUPS, width), nn.SiLU(), nn.Conv1d(width, width, 3, padding=1))
        self.short = nn.Conv1d(before, width, 1) if before != width else nn.Identity()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.among = Attention(width, heads)
        self.asked = Attention(width, heads, told)
        self.dense = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU("tanh"), nn.Linear(4 * width, width))

    def forward(self, hidden: Tensor, told: Tensor, tokens: Tensor, absent: Tensor) -> Tensor:
        """Return hidden states (N, width, length)."""
        residual = self.second(self.first(hidden) + self.told(told).unsqueeze(-1))
        places = (self.short(hidden) + residual).transpose(1, 2)
        seen = self.norms[0](places)
        places = places + self.among(seen, seen)
        places = places + self.asked(self.norms[1](places), tokens, absent)
        found: Tensor = (places + self.dense(self.norms[2](places))).transpose(1, 2)
        return found
