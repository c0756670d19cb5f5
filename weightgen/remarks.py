"""What libraries remark on their way, where it would only puzzle the user."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_remarks(logger: str) -> Iterator[None]:
    """Silence a library's logger below errors while the block runs."""
    found = logging.getLogger(logger)
    before = found.level
    found.setLevel(logging.ERROR)
    try:
        yield
    finally:
        found.setLevel(before)
