"""What a job hands back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

R = TypeVar("R")


@dataclass(frozen=True)
class Made(Generic[R]):
    """What was made, for a program, for a person, and for Python."""

    directory: Path | None
    """Where it was published; None where nothing was."""
    data: Mapping[str, Any]
    """For --json."""
    text: str
    """For a person: what was made, and what to type next."""
    result: R
    """What the Python API returns."""
    code: int = 0
    """Exit code: 1 where a check that was asked for says no."""
