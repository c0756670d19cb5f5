"""The processes that a launcher (accelerate launch, torchrun) started together, as its environment tells of them."""

from __future__ import annotations

import os


def first_process() -> bool:
    """Whether this process speaks for its launch: alone, or the first of several."""
    return int(os.environ.get("RANK", "0")) == 0


def processes() -> int:
    """Return how many processes share the work."""
    return int(os.environ.get("WORLD_SIZE", "1"))
