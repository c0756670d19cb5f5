"""What a denoiser is told of a prompt: of each clause an embedding and a strength."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from weightgen.diffusion.prompt import MOST_CLAUSES, Phrase


@dataclass(frozen=True)
class Condition:
    """N prompts of up to C clauses each; an empty prompt has none."""

    embeddings: Tensor
    """(N, C, width), of norm 1; zeros where there is no clause."""
    strengths: Tensor
    """(N, C), in (0, 1]; 0 where there is no clause."""
    mask: Tensor
    """(N, C), True where there is a clause."""

    def __len__(self) -> int:
        """Prompts."""
        return len(self.mask)

    def __getitem__(self, which: Tensor | slice | list[int]) -> Condition:
        """Return some of the prompts, in that order."""
        return Condition(*(getattr(self, f.name)[which] for f in fields(self)))

    def __add__(self, other: Condition) -> Condition:
        """Return the prompts of both, one after the other."""
        return Condition(*(torch.cat([getattr(self, f.name), getattr(other, f.name)]) for f in fields(self)))

    def to(self, device: torch.device | str) -> Condition:
        """Return the same on a device."""
        return Condition(*(getattr(self, f.name).to(device) for f in fields(self)))

    def without(self, which: Tensor) -> Condition:
        """Return the same with empty prompts where `which` (N,) is True: what guidance is learned from."""
        kept = self.mask & ~which[:, None]
        return Condition(self.embeddings * kept.unsqueeze(-1), self.strengths * kept, kept)


def condition(prompts: Sequence[Sequence[Phrase]], embeddings: Tensor) -> Condition:
    """Return the condition of parsed prompts whose phrases' embeddings (phrases of all prompts, width) are known."""
    mask = torch.zeros(len(prompts), MOST_CLAUSES, dtype=torch.bool)
    for row, phrases in zip(mask, prompts, strict=True):
        row[: len(phrases)] = True
    found = torch.zeros(*mask.shape, embeddings.shape[1])
    found[mask] = embeddings
    strengths = torch.zeros(mask.shape)
    strengths[mask] = torch.tensor([phrase.strength for phrases in prompts for phrase in phrases])
    return Condition(found, strengths, mask)
