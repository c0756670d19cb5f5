"""Sentences of a text, and a teacher's embeddings of them, made once: `datasets` keeps the result."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from weightgen.errors import UsageError, printable
from weightgen.models.loading import load_model
from weightgen.models.names import resolve
from weightgen.models.pooling import mean_pooled, padded
from weightgen.models.source import open_source
from weightgen.models.tokenizer import open_tokenizer, tokenizer_of
from weightgen.reading.tables import generated
from weightgen.tasks.texts import Tables
from weightgen.version import __version__

WORDS = range(6, 65)
BATCH = 64
ALIKE = 16 * BATCH
"""Sentences among which batches of like lengths are found."""


def sentences_of(tables: Tables) -> Tables:
    """Return the sentences of text tables, in their order, each once: in the first table that has it.

    A sentence is a part of a line that ends with `.`, `!` or `?` and a space, or with the line, and has 6 to 64
    words; lines that begin with = or # are headings.
    """
    seen: set[str] = set()
    made: Tables = {}
    for name, table in tables.items():
        split = table.map(_split, batched=True, batch_size=64, fn_kwargs={"version": __version__})
        first = []
        for i, text in enumerate(split["text"]):
            if text not in seen:
                seen.add(text)
                first.append(i)
        made[name] = split.select(first)
    return made


def _split(rows: dict[str, list[str | None]], version: str) -> dict[str, list[str]]:
    lines = (line.strip() for text in rows["text"] for line in (text or "").splitlines())
    parts = (part for line in lines if not line.startswith(("=", "#")) for part in re.split(r"(?<=[.!?])\s+", line))
    return {"text": [part for part in parts if len(part.split()) in WORDS]}


def embedded(table: Any, teacher: str, length: int) -> Any:
    """Return the table with a column `teacher`: a teacher's embeddings of its first `length` tokens, of norm 1.

    `datasets` finds them again by the hash of the teacher's files. Raises UsageError where the teacher gives none.
    """
    import datasets

    source = open_source(resolve(teacher), {})
    if source.directory is None:
        raise UsageError(f"--teacher {printable(teacher)}: name a directory with weights and a tokenizer")
    tokenizer_of(source.architecture, source.directory, length)
    width = source.architecture.config.get_text_config().hidden_size
    features = datasets.Features(
        {"text": datasets.Value("string"), "teacher": datasets.List(datasets.Value("float32"), length=width)}
    )
    arguments = {
        "table": table,
        "teacher": teacher,
        "length": length,
        "width": width,
        "stamp": _stamp(source.directory),
        "version": __version__,
    }
    return generated(_embeddings, arguments, features)


def _stamp(directory: Path) -> str:
    """Hash the files that decide a model's embeddings."""
    digest = hashlib.sha256()
    for file in sorted(f for f in directory.iterdir() if f.suffix in (".json", ".safetensors", ".txt", ".model")):
        with file.open("rb") as stream:
            digest.update(file.name.encode() + hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


def _embeddings(
    table: Any, teacher: str, length: int, width: int, stamp: str, version: str
) -> Iterator[dict[str, Any]]:
    source = open_source(resolve(teacher), {})
    assert source.directory is not None
    model, tokenizer = load_model(source), open_tokenizer(source.directory)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model.to(device)
    for start in range(0, len(table), ALIKE):
        texts = table[start : start + ALIKE]["text"]
        ids = tokenizer(texts, truncation=True, max_length=length)["input_ids"]
        order = sorted(range(len(ids)), key=lambda i: len(ids[i]))  # batches of like lengths hardly need padding
        found = np.zeros((len(ids), width), np.float32)
        for chosen in (order[i : i + BATCH] for i in range(0, len(order), BATCH)):
            with torch.no_grad():
                vectors = mean_pooled(model, *(t.to(device) for t in padded([ids[i] for i in chosen])))
            found[chosen] = torch.nn.functional.normalize(vectors).cpu().numpy()
        for text, vector in zip(texts, found, strict=True):
            yield {"text": text, "teacher": vector}
