"""A generator of weights made by hand: a translator of a thousand weights, a text encoder of thirty words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from tests.tiny_text import save_model, save_tokenizer
from weightgen.diffusion.base import BaseNetwork
from weightgen.diffusion.block_statistics import Statistics
from weightgen.diffusion.blocks import Layout
from weightgen.diffusion.denoiser import Denoiser
from weightgen.diffusion.phrases import PhraseBook
from weightgen.diffusion.pipeline import DENOISERS, WeightGenerationPipeline
from weightgen.diffusion.schedules import make_scheduler
from weightgen.diffusion.text import TextEncoder, load_encoder
from weightgen.models.translator import Translator, TranslatorConfig

CONFIG = TranslatorConfig(width=6, layers=3)
LAYOUT = Layout(CONFIG.shapes, 24)
PHRASES = ["sepia tone", "old brown print", "pencil sketch", "graphite drawing", "soft blur", "out of focus"]
WORDS = tuple(dict.fromkeys(" ".join(PHRASES).split()))
KINDS = ("joint", "per-block")
SMALL: dict[str, dict[str, Any]] = {
    "joint": {"width": 16, "depth": 2, "heads": 2},
    "film": {"width": 16, "depth": 1},
    "subspace": {"width": 16, "depth": 1, "components": 2},
    "per-block": {"width": 16, "depth": 2, "patch": 2, "heads": 2},
}


def save_encoder(directory: Path) -> Path:
    """Write a transformer that tells its words apart."""
    save_model(directory, "BertModel", initializer_range=0.5)
    return save_tokenizer(directory, WORDS)


def make_base(seed: int = 1) -> BaseNetwork:
    """The network that all others differ from."""
    tensors = Translator(CONFIG, seed).state_dict()
    last = f"net.{2 * CONFIG.layers - 2}.weight"
    tensors[last] = 0.1 * torch.randn(tensors[last].shape, generator=torch.Generator().manual_seed(seed))
    base: BaseNetwork = BaseNetwork.of(tensors, LAYOUT, CONFIG.model_dump(mode="json"))
    return base


def make_denoiser(
    kind: str = "joint", base: BaseNetwork | None = None, text_width: int = 16, seed: int = 0, trained: bool = True
) -> Denoiser:
    """A denoiser whose output is random where `trained`, zero as it is made where not."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        base_sha256 = (base or make_base()).sha256
        made = DENOISERS[kind](LAYOUT.to_json(), base_sha256, text_width, **SMALL[kind])
        layers = len(LAYOUT.layers)
        made.set_statistics(Statistics(torch.linspace(-0.01, 0.01, layers) * trained, torch.linspace(0.1, 0.2, layers)))
        made.begin(base or make_base(), torch.randn(3, len(LAYOUT), LAYOUT.size))
        if kind not in ("film", "subspace") and trained:
            torch.nn.init.normal_(made.get_parameter("leave.weight"), std=0.3)
    return made


def make_pipeline(
    encoder: TextEncoder | Path, kind: str = "joint", schedule: Any = "ddim", trained: bool = True, **options: Any
) -> WeightGenerationPipeline:
    """A generator, with its text encoder loaded."""
    found = encoder if isinstance(encoder, TextEncoder) else load_encoder(str(encoder))
    base = make_base()
    book = PhraseBook.of(PHRASES, found.name, found.embed(PHRASES))
    denoiser = make_denoiser(kind, base, found.width, trained=trained)
    pipeline = WeightGenerationPipeline(denoiser, make_scheduler(schedule), base, book, **options)
    pipeline.use_encoder(found)
    return pipeline
