"""Matching two vocabularies by token string."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from weightgen.errors import InputError, UsageError, printable


def match_vocabularies(source: Path | None, target: Path | None, size: int) -> np.ndarray | None:
    """Return for each of `size` target tokens the source's token of the same string, -1 where there is none.

    None where a tokenizer is missing. Ids beyond the target's tokenizer (padding of the table) are -1.
    """
    if source is None or target is None:
        return None
    have, want = read_vocabulary(source), read_vocabulary(target)
    if have is None or want is None:
        return None
    matched = np.full(size, -1, dtype=np.int64)
    for token, index in want.items():
        if index >= size:
            raise UsageError(
                f"{printable(str(target))}: its tokenizer has token id {index}, the target model only {size} tokens"
            )
        matched[index] = have.get(token, -1)
    if (matched >= 0).sum() == 0:
        raise UsageError(f"no token of {printable(str(target))} is in {printable(str(source))}")
    return matched


def read_vocabulary(directory: Path) -> dict[str, int] | None:
    """Return token -> id from tokenizer.json, vocab.json or vocab.txt, or None where there is none."""
    try:
        if (directory / "tokenizer.json").is_file():
            from tokenizers import Tokenizer

            vocabulary: dict[str, int] = Tokenizer.from_file(str(directory / "tokenizer.json")).get_vocab()
            return vocabulary
        if (directory / "vocab.json").is_file():
            loaded = json.loads((directory / "vocab.json").read_text(encoding="utf-8"))
            return {str(k): int(v) for k, v in loaded.items()}
        if (directory / "vocab.txt").is_file():
            lines = (directory / "vocab.txt").read_text(encoding="utf-8").splitlines()
            return {token: i for i, token in enumerate(lines)}
    except Exception as error:  # the tokenizers library raises bare Exception
        raise InputError(f"{printable(str(directory))}: its tokenizer cannot be read ({error})") from error
    return None
