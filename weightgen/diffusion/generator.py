"""A denoiser whose blocks are assembled into networks that are run: what training a generator trains."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from weightgen.diffusion.base import BaseNetwork
from weightgen.diffusion.condition import Condition
from weightgen.diffusion.denoiser import Denoiser
from weightgen.diffusion.schedules import cleaned, noised
from weightgen.models.translator import TranslatorConfig, translate
from weightgen.training.task import Batch


class Generator(nn.Module):
    """Differentiable from the prompt to what K generated networks make of photos."""

    def __init__(
        self, denoiser: Denoiser, base: BaseNetwork, scheduler: Any, config: TranslatorConfig | None = None
    ) -> None:
        """`base`: from which the networks differ; `config` of those that can be run on photos."""
        super().__init__()
        self.denoiser, self.base, self.scheduler, self.config = denoiser, base, scheduler, config

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return the normalised blocks that are predicted, `clean` (K, blocks, size), and what their networks `made`.

        The batch has prompts (`embeddings`, `strengths`, `mask`), normalised blocks `clean` with `noise` and
        `timesteps` (K,), and photos, if any: `images`, `positions`. What was made is (K, N, 3, H, W), not clamped.
        """
        noisy = noised(self.scheduler, batch["clean"], batch["noise"], batch["timesteps"])
        asked = Condition(batch["embeddings"], batch["strengths"], batch["mask"])
        predicted = self.denoiser(noisy, batch["timesteps"], asked)
        clean = cleaned(self.scheduler, predicted, noisy, batch["timesteps"])
        if self.config is None or "images" not in batch:
            return {"clean": clean}
        weights = self.denoiser.weights(self.base, clean)
        return {"clean": clean, "made": translate(self.config, weights, batch["images"], batch["positions"])}
