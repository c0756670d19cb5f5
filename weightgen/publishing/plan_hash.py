"""The hash of a plan: of what will be done, before it is done."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def with_hash(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return plain data with the sha256 of its content added under `hash`."""
    return {**data, "hash": hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()}
