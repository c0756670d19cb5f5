"""Tokenizers of models, and text packed into items of equally many tokens, once: `datasets` keeps the result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from weightgen.errors import InputError, UsageError, printable
from weightgen.models.tokenizer import open_tokenizer
from weightgen.publishing.sidecars import has_tokenizer
from weightgen.tasks.texts import cut
from weightgen.training.task import Split
from weightgen.version import __version__

ROWS = 256
"""Rows of text that are packed together; what is left of them at their end, less than an item, is dropped."""


def refuse_other_tokens(directory: Path | None, teacher: Path | None) -> None:
    """Raise UsageError where model and teacher both bring a tokenizer, and these number tokens differently."""
    if directory is None or teacher is None or not (has_tokenizer(directory) and has_tokenizer(teacher)):
        return
    ours, theirs = open_tokenizer(directory).get_vocab(), open_tokenizer(teacher).get_vocab()
    if ours != theirs:
        word = next(w for w in {**ours, **theirs} if ours.get(w) != theirs.get(w))
        raise UsageError(
            f"the teacher has another tokenizer than the model ('{printable(word)}' is token {theirs.get(word, 'none')}"
            f" there, {ours.get(word, 'none')} here): their predictions cannot be compared"
        )


def pack(
    tables: Mapping[str, Any],
    tokenizer: Any,
    length: int,
    before: Sequence[int],
    after: Sequence[int],
    shown: str,
    known: int = 0,
) -> dict[Split, Any]:
    """Pack text into items of `length` tokens, the column `tokens`: `before`, text, `after`; returns the splits.

    Items with fewer than `known` tokens of text that are not special (unknown words are) are left out. Raises
    InputError where the text is too short for one item in every split, UsageError where nothing fits in an item.
    """
    import datasets

    body = length - len(before) - len(after)
    if body < 1:
        raise UsageError(f"--length {length}: the tokenizer's own {length - body} tokens leave no place for text")
    arguments = {
        "tokenizer": tokenizer,
        "body": body,
        "before": list(before),
        "after": list(after),
        "known": known,
        "version": __version__,  # part of the cache's key
    }
    features = datasets.Features({"tokens": datasets.List(datasets.Value("int32"), length=length)})
    packed = {
        name: table.map(
            _packed, batched=True, batch_size=ROWS, remove_columns=["text"], fn_kwargs=arguments, features=features
        ).with_format("numpy")
        for name, table in tables.items()
    }

    def too_short(name: str, items: int) -> InputError:
        found = sum(len(_tokenised(tokenizer, [text])) for text in tables[name]["text"])
        return InputError(
            f"{shown}: too short: {found} tokens of {name} text, {items * body} needed for one item of {length} tokens "
            "in every split\nAdd text, or lower --length."
        )

    return cut(packed, 1, too_short)


def _packed(
    rows: dict[str, list[str | None]],
    tokenizer: Any,
    body: int,
    before: list[int],
    after: list[int],
    known: int,
    version: str,
) -> dict[str, np.ndarray]:
    tokens = _tokenised(tokenizer, rows["text"])
    items = tokens[: len(tokens) // body * body].reshape(-1, body)
    items = items[np.isin(items, tokenizer.all_special_ids, invert=True).sum(1) >= known]
    count = len(items)
    edges = [np.tile(np.array(edge, np.int32), (count, 1)) for edge in (before, after)]
    return {"tokens": np.concatenate([edges[0], items, edges[1]], axis=1)}


def _tokenised(tokenizer: Any, texts: Sequence[str | None]) -> np.ndarray:
    """Return the tokens of texts on end, (tokens,); each ends a line."""
    lines = [t if t.endswith("\n") else t + "\n" for t in texts if t]
    # What looks like a special token in a text is text, and must not end a sequence or pass for a mask.
    options = {"add_special_tokens": False, "split_special_tokens": True, "verbose": False}
    found = tokenizer(lines, **options)["input_ids"] if lines else []
    return np.concatenate([np.zeros(0, np.int32), *(np.array(ids, np.int32) for ids in found)])
