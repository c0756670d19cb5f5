"""The phrases that a generator was trained on, with their embeddings: how far is a new phrase from all of them?"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor

LONELY = 0.1
"""Share of the trained phrases that are themselves less like their nearest neighbour than what counts as near."""
NEAR = 8
"""Trained phrases that may take the place of one in a reading."""
SAME = 0.9999
"""Cosine above which two phrases are the same one."""
UNRELATED = 0.5
"""Cosine below which phrases have little in common, whatever the book holds."""


@dataclass(frozen=True)
class Neighbour:
    """A trained phrase."""

    text: str
    cosine: float


class PhraseBook(ModelMixin, ConfigMixin):
    """Trained phrases; saved with a generator."""

    @register_to_config
    def __init__(self, phrases: list[str], encoder: str, width: int) -> None:
        """`encoder`: name of the text encoder; `width`: of its embeddings."""
        super().__init__()
        if not isinstance(phrases, list) or not all(isinstance(phrase, str) for phrase in phrases):
            raise ValueError("phrases: expected a list of texts")
        self.phrases = list(phrases)
        self.register_buffer("embeddings", torch.zeros(len(phrases), width))

    @classmethod
    def of(cls, phrases: list[str], encoder: str, embeddings: Tensor) -> PhraseBook:
        """Return the book of phrases, each with its embedding (phrases, width), of norm 1."""
        book: PhraseBook = cls(phrases, encoder, embeddings.shape[1])
        book.embeddings.copy_(embeddings)
        return book

    @property
    def far(self) -> float:
        """Cosine to the nearest trained phrase below which a phrase is unlike all that was seen.

        Text encoders differ in what cosines they give, so that trained phrases, many for one thing, set the scale.
        """
        if len(self.phrases) < 2:
            return UNRELATED
        cosines = self.embeddings.cpu() @ self.embeddings.cpu().T
        return max(UNRELATED, float(cosines.fill_diagonal_(-1).max(-1).values.quantile(LONELY)))

    def nearest(self, embeddings: Tensor, count: int = 3) -> list[list[Neighbour]]:
        """Return for each embedding (n, width) the trained phrases that are nearest, the nearest first."""
        cosines, which = (embeddings.cpu() @ self.embeddings.cpu().T).topk(min(count, len(self.phrases)))
        return [
            [Neighbour(self.phrases[i], c) for c, i in zip(row.tolist(), places.tolist(), strict=True)]
            for row, places in zip(cosines, which, strict=True)
        ]

    def snapped(self, embeddings: Tensor) -> Tensor:
        """Return embeddings (n, width) with each replaced by the nearest trained one, unless that is far."""
        if not len(embeddings) or not self.phrases:
            return embeddings
        known = self.embeddings.to(embeddings.device)
        cosines, which = (embeddings @ known.T).max(-1)
        return torch.where(cosines[:, None] >= self.far, known[which], embeddings)

    def readings(self, embeddings: Tensor, count: int) -> list[Tensor]:
        """Return ways to read a prompt, embeddings (n, width) each, at most `count`, the likeliest first.

        The first is the prompt as it is said; in others trained phrases that are near take the place of its own, the
        larger the sum of their cosines the sooner.
        """
        own, known = embeddings.cpu(), self.embeddings.cpu()
        choices = [[(1.0, row)] for row in own]
        for row, found in zip(own, choices, strict=True):
            cosines, which = (known @ row).topk(min(NEAR, len(known)))
            near = zip(cosines.tolist(), which.tolist(), strict=True)
            found += [(cosine, known[i]) for cosine, i in near if cosine < SAME]
        ranked = sorted(product(*choices), key=lambda reading: -sum(cosine for cosine, _ in reading))
        return [torch.stack([row for _, row in reading]) for reading in ranked[:count] if reading]
