"""Matching two vocabularies by token string."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from weightgen.errors import InputError, UsageError, printable
from weightgen.models.tokenizer import open_tokenizer
from weightgen.reading.files import read_small
from weightgen.reading.json_files import read_json

MAX_VOCABULARY = 100 << 20  # bytes: ten times the largest there are
PIECES = ("tokenizer.model", "spiece.model", "sentencepiece.bpe.model")


def match_vocabularies(
    source: Path | None, target: Path | None, size: int, same_size: bool = False
) -> np.ndarray | None:
    """Return for each of `size` target tokens the source's token of the same string, -1 where there is none.

    None where a tokenizer is missing, or where both sides have `same_size` and number the same tokens alike.
    Ids beyond the target's tokenizer (padding of the table) are -1.
    """
    if source is None or target is None:
        return None
    have, want = read_vocabulary(source), read_vocabulary(target)
    if have is None or want is None:
        return None
    if same_size and have == want:
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
    """Return token -> id from all files that make up a tokenizer, added tokens too; None where there is none."""
    try:
        found = _tokens(directory)
        if found is None:
            return None
        added = _object(directory / "added_tokens.json")
        told = _object(directory / "tokenizer_config.json").get("added_tokens_decoder", {})
        return found | {str(k): int(v) for k, v in added.items()} | {str(v["content"]): int(k) for k, v in told.items()}
    except InputError:
        raise
    except Exception as error:  # the tokenizers library raises bare Exception
        raise InputError(f"{printable(str(directory))}: its tokenizer cannot be read ({error})") from error


def _tokens(directory: Path) -> dict[str, int] | None:
    if (directory / "tokenizer.json").is_file():
        from tokenizers import Tokenizer

        vocabulary: dict[str, int] = Tokenizer.from_file(str(directory / "tokenizer.json")).get_vocab()
        return vocabulary
    if (directory / "vocab.json").is_file():
        return {str(k): int(v) for k, v in _object(directory / "vocab.json").items()}
    if (directory / "vocab.txt").is_file():
        # As the library reads it: lines end with a line feed, and with nothing else that Unicode calls an end of line.
        text = read_small(directory / "vocab.txt", MAX_VOCABULARY).decode("utf-8")
        lines = text.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n").split("\n")
        return {token: i for i, token in enumerate(lines)}
    if any(
        (directory / name).is_file() for name in PIECES
    ):  # a model of SentencePiece, which the library knows to read
        own: dict[str, int] = open_tokenizer(directory).get_vocab()
        return own
    return None


def _object(file: Path) -> dict[str, Any]:
    return read_json(file, MAX_VOCABULARY) if file.is_file() else {}
