"""The files that travel with weights: tokenizers, preprocessors, sentence-transformers modules."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from weightgen.reading.files import refuse_outside
from weightgen.reading.json_files import check_json, read_json

TOKENIZER = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
    "chat_template.jinja",
)
PREPROCESSOR = ("preprocessor_config.json", "processor_config.json", "video_preprocessor_config.json")
SENTENCE = ("modules.json", "sentence_bert_config.json", "config_sentence_transformers.json")


def has_tokenizer(directory: Path) -> bool:
    """Whether any file of a tokenizer lies in a directory."""
    return any((directory / name).is_file() for name in TOKENIZER)


def copy_sidecars(source: Path | None, tokenizer: Path | None, target: Path, width: int | None) -> list[str]:
    """Copy what is there and return the names; raises InputError for links that lead out, and JSON that is none.

    `width` is the target's hidden size, which pooling configs repeat.
    """
    copied = []
    for folder, names in ((tokenizer or source, TOKENIZER), (source, (*PREPROCESSOR, *SENTENCE))):
        for name in names if folder is not None else ():
            assert folder is not None
            if (folder / name).is_file():
                refuse_outside(folder / name, folder)
                if name.endswith(".json"):
                    check_json(folder / name)
                shutil.copyfile(folder / name, target / name)
                copied.append(name)
    if source is not None and width is not None and "modules.json" in copied:
        for config in sorted(source.glob("*_Pooling/config.json")):
            refuse_outside(config, source)
            pooling = read_json(config)
            for key in ("word_embedding_dimension", "embedding_dimension"):
                if key in pooling:
                    pooling[key] = width
            folder = target / config.parent.name
            folder.mkdir()
            (folder / "config.json").write_text(json.dumps(pooling, indent=2) + "\n")
            copied.append(f"{config.parent.name}/config.json")
    return copied
