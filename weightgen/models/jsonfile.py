"""Small JSON: files that others wrote, read capped and strict, with errors that name them; and the hash of a plan."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from weightgen.errors import InputError, printable
from weightgen.files import read_small

MAX_BYTES = 10 << 20  # the largest real tokenizer-free config or index is well under 10 MB


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


def with_hash(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return plain data with the sha256 of its content added under `hash`."""
    return {**data, "hash": hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()}
