"""Calibration data: a few images or some text, run through the real source model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from weightgen.errors import InputError, UsageError, printable
from weightgen.models.source import Source
from weightgen.models.tokenizer import open_tokenizer
from weightgen.reading.folders import data_files
from weightgen.reading.images import SUFFIXES, open_image

BATCH = 8
TEXT_TOKENS = 128


def batches(source: Source, data: Path, samples: int) -> Iterator[Mapping[str, Any]]:
    """Yield batches of model inputs from an image folder or a text file; raises InputError where nothing is usable."""
    shown = printable(str(data))
    source.architecture.adapter.check_calibration(source.architecture)
    if not data.exists():
        raise InputError(f"{shown}: no such file or directory")
    if data.is_dir():
        yield from _image_batches(source, data, samples)
    else:
        yield from _text_batches(source, data, samples)


def _image_batches(source: Source, folder: Path, samples: int) -> Iterator[Mapping[str, Any]]:
    import torch

    files = data_files(folder, SUFFIXES)[:samples]
    if not files:
        raise InputError(f"{printable(str(folder))}: no images ({', '.join(SUFFIXES)})")
    adapter = source.architecture.adapter
    key, mode, transform = adapter.image_transform(source.architecture, source.directory)
    ready = []
    for file in files:
        ready.append(transform(open_image(file).convert(mode)))
        if len(ready) == BATCH or file is files[-1]:
            yield {key: torch.stack(ready)}
            ready = []


def _text_batches(source: Source, file: Path, samples: int) -> Iterator[Mapping[str, Any]]:
    import torch

    source.architecture.adapter.check_texts(source.architecture, printable(str(file)))
    if source.directory is None:
        raise UsageError("calibrating on text needs the source's tokenizer: pass its directory as --src")
    tokenizer = open_tokenizer(source.directory)
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{printable(str(file))}: not a readable text file") from error
    limit = getattr(source.architecture.config, "max_position_embeddings", TEXT_TOKENS)
    length = min(TEXT_TOKENS, limit - 2)
    ids = tokenizer(text[: samples * length * 8], add_special_tokens=False, verbose=False)["input_ids"]
    rows = [ids[i : i + length] for i in range(0, len(ids) - length + 1, length)][:samples] or [ids]
    if not ids:
        raise InputError(f"{printable(str(file))}: no text")
    inputs: dict[str, Any] = {"use_cache": False} if hasattr(source.architecture.config, "use_cache") else {}
    for i in range(0, len(rows), BATCH):
        batch = torch.tensor(rows[i : i + BATCH])
        yield {"input_ids": batch, **inputs}
