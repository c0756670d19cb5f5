"""Small JSON files that others wrote: read capped and strict, with errors that name them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from weightgen.errors import InputError, printable
from weightgen.reading.files import read_small

MAX_BYTES = 10 << 20  # the largest real tokenizer-free config or index is well under 10 MB

MAX_TOKENIZER = 256 << 20


def read_json(path: Path, limit: int = MAX_BYTES) -> dict[str, Any]:
    """Return the object in a JSON file; raises InputError where it is missing, too large or not an object."""
    shown = printable(str(path))
    raw = read_small(path, limit)
    try:
        value = json.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{shown}: not valid JSON") from error
    if not isinstance(value, dict):
        raise InputError(f"{shown}: expected a JSON object, found {type(value).__name__}")
    return value


def check_json(path: Path) -> None:
    """Raise InputError for a file that is no JSON of any kind; a tokenizer's may be large."""
    try:
        json.loads(read_small(path, MAX_TOKENIZER).decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{printable(str(path))}: not valid JSON. Fetch it again, or leave it out.") from error


def unique_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build a JSON object, refusing a key that comes twice: readers disagree on which one counts."""
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [k for k, _ in pairs]
        raise ValueError(f"the key '{printable(next(k for k in keys if keys.count(k) > 1))}' occurs twice")
    return found


def _no_constant(word: str) -> None:
    raise ValueError(f"{word} is not JSON")


def strict_json(raw: bytes) -> Any:
    """Parse UTF-8 JSON without duplicate keys, NaN or deep nesting; raises ValueError."""
    try:
        return json.loads(raw.decode("utf-8"), object_pairs_hook=unique_pairs, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"byte {error.start} is not UTF-8") from None
