"""A tokenizer of forty words, models of a few hundred weights, and texts in their words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "<s>")
WORDS = tuple(f"w{i}" for i in range(34))
VOCABULARY = len(SPECIAL) + len(WORDS)
POSITIONS = 32


def save_tokenizer(directory: Path, words: tuple[str, ...] = WORDS, **changes: Any) -> Path:
    """Write a tokenizer that knows whole words."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.WordLevel({w: i for i, w in enumerate((*SPECIAL, *words))}, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair=None, special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = dict(zip(("pad", "unk", "cls", "sep", "mask", "bos"), SPECIAL, strict=True)) | changes
    given = {f"{k}_token": v for k, v in names.items() if v is not None}
    PreTrainedTokenizerFast(tokenizer_object=backend, **given).save_pretrained(directory)
    return directory


def save_model(directory: Path, kind: str, seed: int = 0, **changes: Any) -> Path:
    """Write a tiny model of a transformers class, with the tokenizer."""
    import torch
    import transformers

    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    sizes |= {"vocab_size": VOCABULARY, "max_position_embeddings": POSITIONS, "bos_token_id": 5, "pad_token_id": 0}
    config = getattr(transformers, "LlamaConfig" if kind.startswith("Llama") else "BertConfig")(**(sizes | changes))
    torch.manual_seed(seed)
    getattr(transformers, kind)(config).save_pretrained(directory)
    return save_tokenizer(directory)


def loaded(directory: Path) -> Any:
    """The architecture and the model of a directory."""
    from weightgen.models.loading import load_model
    from weightgen.models.names import resolve
    from weightgen.models.source import open_source

    source = open_source(resolve(str(directory)), {})
    return source.architecture, load_model(source)


def words(count: int, seed: int = 0) -> list[str]:
    """Words in which each tells much of the next."""
    draw = np.random.default_rng(seed)
    steps = draw.choice([1, 3, 7], count, p=[0.7, 0.2, 0.1])
    return [WORDS[i] for i in np.cumsum(steps) % len(WORDS)]


def save_text(file: Path, count: int, seed: int = 0) -> Path:
    """Write words, ten a line, each line a sentence."""
    found = words(count, seed)
    lines = [" ".join(found[i : i + 10]) for i in range(0, count, 10)]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file
