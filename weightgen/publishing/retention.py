"""States of a running training: the newest complete one, and the removal of older ones."""

from __future__ import annotations

import contextlib
import re
import shutil
from pathlib import Path

from weightgen.errors import CheckError, InputError
from weightgen.publishing.manifest import NAME, check

KEPT = 2  # the newest, and one more in case the newest is damaged on disk


def state_directory(states: Path, step: int) -> Path:
    """Return where the state after `step` steps lies."""
    return states / f"step-{step:09d}"


def newest_complete(states: Path) -> Path | None:
    """Return the newest state whose every file is as published, or None."""
    for directory in reversed(_all(states)):
        with contextlib.suppress(CheckError, InputError):
            check(directory)
            return directory
    return None


def retain(states: Path, keep: int = KEPT) -> None:
    """Remove all but the newest states."""
    for directory in _all(states)[:-keep]:
        # Without its manifest it is no state, so a removal that is killed half-way leaves nothing that looks whole.
        (directory / NAME).unlink(missing_ok=True)
        shutil.rmtree(directory, ignore_errors=True)


def _all(states: Path) -> list[Path]:
    if not states.is_dir():
        return []
    return sorted(p for p in states.iterdir() if re.fullmatch(r"step-\d{9}", p.name))
