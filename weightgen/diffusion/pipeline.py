"""From a prompt to weights, as a pipeline of diffusers. A saved one names this module: it must not move."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from diffusers.utils.outputs import BaseOutput
from torch import Tensor

from weightgen.diffusion.base import BaseNetwork
from weightgen.diffusion.condition import Condition, condition
from weightgen.diffusion.denoiser import Denoiser
from weightgen.diffusion.denoiser_block import BlockDenoiser
from weightgen.diffusion.denoiser_joint import JointDenoiser
from weightgen.diffusion.denoiser_subspace import SubspaceDenoiser
from weightgen.diffusion.digest import sha256_of
from weightgen.diffusion.film import FilmDenoiser
from weightgen.diffusion.phrases import PhraseBook
from weightgen.diffusion.prompt import Phrase, parse
from weightgen.diffusion.schedules import sample
from weightgen.diffusion.text import TextEncoder, load_encoder
from weightgen.errors import InputError, printable

DENOISERS: dict[str, Callable[..., Denoiser]] = {
    "subspace": SubspaceDenoiser,
    "joint": JointDenoiser,
    "per-block": BlockDenoiser,
    "film": FilmDenoiser,
}
"""By name. What a saved pipeline consists of must have been imported before diffusers loads it."""
ALIKE = 1e-2
"""Largest distance of an encoder's embedding of a trained phrase from the one of training: other machines round."""


@dataclass
class WeightGenerationOutput(BaseOutput):
    """Networks, for each prompt in turn so many samples."""

    state_dicts: list[dict[str, Tensor]]
    blocks: Tensor
    """(prompts * samples, blocks, size), normalised, as they were denoised."""


class WeightGenerationPipeline(DiffusionPipeline):
    """Denoises the weights of small networks from prompts."""

    _optional_components = ["text_encoder", "tokenizer"]  # noqa: RUF012 - diffusers reads it so

    def __init__(
        self,
        denoiser: Denoiser,
        scheduler: Any,
        base: BaseNetwork,
        phrases: PhraseBook,
        text_encoder: Any = None,
        tokenizer: Any = None,
        steps: int = 1,
        guidance: float = 1.0,
        snap: bool = False,
    ) -> None:
        """`steps`, `guidance` and `snap` are the defaults of a call, as was best in training.

        Without text encoder and tokenizer, the encoder that `phrases` names is looked for when it is first needed.
        Raises InputError where denoiser and base do not belong together.
        """
        super().__init__()
        if denoiser.layout != base.layout:
            raise InputError(
                f"the denoiser is for another architecture than the base: layout {denoiser.layout.sha256[:16]}..., "
                f"expected {base.layout.sha256[:16]}...\nUse both from one generator, as it was published."
            )
        if denoiser.config.base_sha256 != base.sha256:
            raise InputError(
                f"the denoiser was trained for another base: sha256 {printable(denoiser.config.base_sha256)[:16]}..., "
                f"found {base.sha256[:16]}...\nUse both from one generator, as it was published, in float32."
            )
        self.register_modules(
            denoiser=denoiser,
            scheduler=scheduler,
            base=base,
            phrases=phrases,
            text_encoder=text_encoder,
            tokenizer=tokenizer,
        )
        self.register_to_config(steps=steps, guidance=guidance, snap=snap)
        self._encoder: TextEncoder | None = None

    def __call__(
        self,
        prompt: str | Sequence[str],
        steps: int | None = None,
        guidance: float | None = None,
        samples: int = 1,
        generator: torch.Generator | None = None,
        snap: bool | None = None,
        reread: bool = False,
    ) -> WeightGenerationOutput:
        """Return networks for a prompt, or for each of several.

        `generator` draws the noise on the CPU, one sample after the other, so that the first of four samples is the
        same as the only one. `snap`: phrases give way to the nearest trained ones. `reread`: samples after the first
        have other readings of the prompt (`PhraseBook.readings`). An empty prompt asks for nothing.
        Raises UsageError for a prompt that is too long or asks for impossible strengths.
        """
        prompts = [prompt] if isinstance(prompt, str) else list(prompt)
        read = [self.read(p) for p in prompts]
        told = self.condition(read, snap)
        told = told[torch.arange(len(prompts)).repeat_interleave(samples)]
        if reread:
            said = self.condition(read, False)
            for i, phrases in enumerate(read):
                others = self.phrases.readings(said.embeddings[i, : len(phrases)], samples)[1:]
                for k, other in enumerate(others, i * samples + 1):
                    told.embeddings[k, : len(phrases)] = other
        shape = (len(self.denoiser.layout), self.denoiser.layout.size)
        noise = torch.stack([torch.randn(shape, generator=generator) for _ in range(len(told))])
        steps, guidance = steps or self.config.steps, self.config.guidance if guidance is None else guidance
        device = self.denoiser.device
        blocks = sample(self.denoiser, self.scheduler, noise.to(device), told.to(device), steps, guidance)
        tensors = self.denoiser.weights(self.base, blocks)
        state_dicts = [{n: t[i].contiguous() for n, t in tensors.items()} for i in range(len(blocks))]
        return WeightGenerationOutput(state_dicts=state_dicts, blocks=blocks)

    def read(self, prompt: str) -> list[Phrase]:
        """Return the clauses of a prompt; phrases of training are kept whole."""
        return parse(prompt, self.phrases.phrases)

    def condition(self, prompts: Sequence[Sequence[Phrase]], snap: bool | None = None) -> Condition:
        """Return what the denoiser is told of parsed prompts, on the CPU."""
        texts = [phrase.text for phrases in prompts for phrase in phrases]
        found = self.encoder.embed(texts) if texts else torch.zeros(0, self.phrases.config.width)
        if self.config.snap if snap is None else snap:
            found = self.phrases.snapped(found)
        return condition(prompts, found)

    @property
    def encoder(self) -> TextEncoder:
        """The text encoder; raises InputError where it is not the one of training, and what `load_encoder` raises."""
        if self._encoder is None:
            name = self.phrases.config.encoder
            if self.text_encoder is not None:
                self.use_encoder(TextEncoder(name, self.text_encoder, self.tokenizer))
            else:
                self.use_encoder(load_encoder(name))
        assert self._encoder is not None
        return self._encoder

    def use_encoder(self, encoder: TextEncoder) -> None:
        """Use an encoder that is loaded already; raises InputError where it is another one than in training."""
        book = self.phrases
        first = encoder.embed(book.phrases[:1])
        same = encoder.width == book.config.width
        if not same or (len(first) and float((first - book.embeddings[:1].cpu()).norm()) > ALIKE):
            raise InputError(
                f"the text encoder '{printable(encoder.name)}' is another one than the generator was trained with, "
                f"'{printable(book.config.encoder)}'.\nPass that one: --encoder NAME or DIRECTORY"
            )
        self._encoder = encoder

    def include_encoder(self) -> None:
        """Make the text encoder a part of what `save_pretrained` writes (91 MB for MiniLM)."""
        self.register_modules(text_encoder=self.encoder.model, tokenizer=self.encoder.tokenizer)

    @property
    def sha256(self) -> str:
        """Hash of denoiser, base and trained phrases: of what decides the weights, apart from the text encoder."""
        parts = [sha256_of(self.denoiser.state_dict()), self.base.sha256, sha256_of(self.phrases.state_dict())]
        return hashlib.sha256(" ".join([*parts, *self.phrases.phrases]).encode()).hexdigest()

    def save_pretrained(self, save_directory: str | Path, **options: Any) -> None:
        """Write a directory as diffusers does, safetensors only."""
        super().save_pretrained(save_directory, **{**options, "safe_serialization": True})
        directory = Path(save_directory)
        index = directory / "model_index.json"
        for file in directory.rglob("*.safetensors"):
            file.chmod(index.stat().st_mode)  # safetensors writes for the owner alone
        for name in (index.name, *(f"{f.parent.name}/{f.name}" for f in directory.glob("*/config.json"))):
            values = json.loads((directory / name).read_text(encoding="utf-8"))
            if values.pop("_name_or_path", None) is not None:  # where it was loaded from is nobody else's business
                text = json.dumps(values, indent=2, sort_keys=True) + "\n"
                (directory / name).write_text(text, encoding="utf-8")

    @classmethod
    def from_pretrained(cls, directory: str | Path, **options: Any) -> WeightGenerationPipeline:
        """Read a directory or a repository on the hub, safetensors only; raises InputError as `__init__` does."""
        found: WeightGenerationPipeline = super().from_pretrained(directory, **{**options, "use_safetensors": True})
        # Tensors in a mapped file begin anywhere, and sums over them round by where they begin: a copy is aligned.
        for tensor in (*found.denoiser.parameters(), *found.denoiser.buffers()):
            tensor.data = tensor.data.clone()
        return found
