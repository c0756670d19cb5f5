"""Teaching a generator as a task: to denoise collected networks, and to generate ones that do what the prompt says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from weightgen.diffusion.asking import Asked, Asking, look_up
from weightgen.diffusion.blocks import Layout
from weightgen.diffusion.concepts import Concept
from weightgen.diffusion.examples import Edited, Examples
from weightgen.diffusion.generator import Generator
from weightgen.diffusion.prompt import parse
from weightgen.diffusion.quality import psnr
from weightgen.diffusion.schedules import draw_timesteps, last_timestep
from weightgen.errors import UsageError
from weightgen.training.task import Batch, Metric, Split, Task

JUDGED = 12  # crops on which a generated network is scored
FLOOR = 1e-5  # of a squared error; beyond 50 dB nothing more is asked for
TERMINAL = 0.5  # share of the timesteps that are the last, from where one step generates


class DenoisingTask(Task):
    """Items are concepts, whose networks were collected; the loss is the mean squared error of their clean blocks.

    The metric is that error in one step from noise, of networks that are not learned from.
    """

    name = "train-generator"
    metric = Metric("error", higher_is_better=False, limits=(0.0, np.inf))
    scoring_batch = 8
    asking = Asking()

    def __init__(
        self,
        concepts: Mapping[Split, Sequence[Concept]],
        clean: Mapping[Split, Tensor],
        layout: Layout,
        embeddings: Mapping[str, Tensor],
        scheduler: Any,
        empty: float,
    ) -> None:
        """`concepts` of `train` and `validation`, and their networks' normalised blocks, (K, blocks, size) each.

        `embeddings` of all phrases that they are asked for with. `empty`: share of empty prompts, for guidance.
        """
        self.concepts, self.clean, self.layout = concepts, clean, layout
        self.embeddings, self.scheduler, self.empty = embeddings, scheduler, empty
        held_out = len(concepts["validation"])
        self.sizes = {"train": len(concepts["train"]), "tune": held_out, "validation": held_out}

    def batch(self, split: Split, items: Sequence[int], draws: Sequence[int] | None = None) -> Batch:
        if draws is None:
            return self._judged(items)
        own = [np.random.default_rng(draw) for draw in draws]
        concepts = self.concepts["train"]
        asked = [self.asking.ask(concepts[i], generator) for i, generator in zip(items, own, strict=True)]
        prompts = look_up([a.phrases for a in asked], self.embeddings)
        prompts = prompts.without(torch.tensor([generator.random() < self.empty for generator in own]))
        noise = torch.Generator().manual_seed(int(own[0].integers(1 << 62)))
        collected = torch.tensor([a.is_collected for a in asked])
        clean = self.clean["train"][list(items)]
        return {
            **vars(prompts),
            **self._photos(items, asked, own[0]),
            "clean": clean,
            "noise": torch.randn(clean.shape, generator=noise),
            "timesteps": self._timesteps(collected, noise),
            "collected": collected,
        }

    def forward(self, model: torch.nn.Module, batch: Batch) -> Any:
        return model(batch)

    def loss(self, outputs: Any, batch: Batch) -> Tensor:
        wanted = batch["collected"].float()
        found: Tensor = (self._errors(outputs, batch) * wanted).sum() / wanted.sum().clamp(min=1)
        return found

    def scores(self, outputs: Any, batch: Batch) -> Tensor:
        return self._errors(outputs, batch)

    def terms(self, batch: Batch) -> int:
        return len(batch["clean"])

    def check(self, model: torch.nn.Module) -> None:
        assert isinstance(model, Generator)
        if model.denoiser.layout != self.layout:
            raise UsageError("the denoiser has another layout of blocks than the collected networks")

    def _errors(self, outputs: Any, batch: Batch) -> Tensor:
        """Return the mean squared error of each network's blocks, (K,); padding is zero in both."""
        squares: Tensor = (outputs["clean"] - batch["clean"]).square().sum((1, 2))
        return squares / self.layout.parameters

    def _photos(self, items: Sequence[int], asked: Sequence[Asked], generator: np.random.Generator) -> Batch:
        """Return photos that networks are run on, and what they should make of them; here none are."""
        return {}

    def _timesteps(self, collected: Tensor, generator: torch.Generator) -> Tensor:
        """Return timesteps; nothing but noise shows what no network was collected for."""
        found = draw_timesteps(self.scheduler, len(collected), generator)
        last = ~collected | (torch.rand(len(collected), generator=generator) < TERMINAL)
        return torch.where(last, last_timestep(self.scheduler), found)

    def _judged(self, items: Sequence[int]) -> Batch:
        prompts = look_up([parse(self.concepts["validation"][i].captions[0]) for i in items], self.embeddings)
        clean = self.clean["validation"][list(items)]
        return {
            **vars(prompts),
            "clean": clean,
            "noise": torch.randn(clean.shape, generator=torch.Generator().manual_seed(0)),
            "timesteps": torch.full((len(items),), last_timestep(self.scheduler)),
        }


class GeneratorTask(DenoisingTask):
    """The loss also has the error of what the generated networks make of photos: their own task's.

    That is the logarithm of each network's mean squared error, its PSNR but for a factor: of the plain error the
    edits that are hardest to do would be nearly all, and what is easy would never be done well.

    The metric is the PSNR of networks generated in one step for concepts not learned from.
    """

    metric = Metric("PSNR", higher_is_better=True)

    def __init__(
        self,
        examples: Mapping[Split, Examples],
        clean: Mapping[Split, Tensor],
        layout: Layout,
        embeddings: Mapping[str, Tensor],
        scheduler: Any,
        empty: float,
        *,
        crops: int,
        size: int,
        denoising: float,
        running: float,
        asking: Asking,
    ) -> None:
        """`crops` photos of `size` pixels a step, the same for all of its concepts.

        `denoising` and `running`: weights of the two errors; without the first, all steps begin with noise alone.
        """
        concepts = {split: shown.concepts for split, shown in examples.items()}
        super().__init__(concepts, clean, layout, embeddings, scheduler, empty)
        self.examples, self.crops, self.size, self.asking = examples, crops, size, asking
        self.denoising, self.running = denoising, running

    def denoising_alone(self) -> DenoisingTask:
        """Return the task of the same networks without running them."""
        return DenoisingTask(self.concepts, self.clean, self.layout, self.embeddings, self.scheduler, self.empty)

    def loss(self, outputs: Any, batch: Batch) -> Tensor:
        squares = (outputs["made"] - batch["targets"]).square().flatten(1).mean(1)
        found: Tensor = self.running * (squares + FLOOR).log().mean()
        return found + self.denoising * super().loss(outputs, batch) if self.denoising else found

    def scores(self, outputs: Any, batch: Batch) -> Tensor:
        return psnr(outputs["made"].clamp(0, 1), batch["targets"])

    def _photos(self, items: Sequence[int], asked: Sequence[Asked], generator: np.random.Generator) -> Batch:
        train = self.examples["train"]
        shown = Edited(train.photos, [a.concept for a in asked]) if isinstance(train, Edited) else train.only(items)
        photos = shown.draw(generator.integers(1 << 62, size=self.crops).tolist(), self.size)
        return {**photos, "targets": shown.targets(photos)}

    def _timesteps(self, collected: Tensor, generator: torch.Generator) -> Tensor:
        return super()._timesteps(collected & bool(self.denoising), generator)

    def _judged(self, items: Sequence[int]) -> Batch:
        shown = self.examples["validation"].only(items)
        photos = shown.draw(range(JUDGED), self.size)
        return {**super()._judged(items), **photos, "targets": shown.targets(photos)}
