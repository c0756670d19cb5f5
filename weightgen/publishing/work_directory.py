"""Directories for work over several calls: known by a mark that we leave, held by one process at a time."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from weightgen.console import first_process
from weightgen.errors import UsageError, printable
from weightgen.publishing.destination import check_place
from weightgen.publishing.leftovers import try_lock

MARK = ".weightgen-work"
"""File in every work directory: what has it may be removed by us, whatever its name; what does not may not."""


@contextlib.contextmanager
def work_directory(directory: Path, patience: float = 0.0) -> Iterator[None]:
    """Make a work directory, or go on in one, and hold it; what holds nothing at the end is removed.

    Raises UsageError where something of that name is not ours, and as `hold` does.
    """
    refuse_foreign(directory)
    with hold(directory, patience):
        mark = directory / MARK
        if first_process():
            mark.touch()
        try:
            yield
        finally:
            if first_process() and mark.exists() and len(os.listdir(directory)) == 1:
                mark.unlink()


def refuse_foreign(directory: Path) -> None:
    """Raise UsageError where a directory holds things, and no mark of ours; a command asks before it starts to work."""
    if not os.path.lexists(directory):
        check_place(directory)
        return
    shown = printable(str(directory))
    if not directory.is_dir():
        raise UsageError(f"{shown}: is needed for work in progress, and is no directory. Choose another --out.")
    strangers = sorted(os.listdir(directory))
    if strangers and MARK not in strangers:
        raise UsageError(
            f"{shown}: is needed for work in progress, and holds what weightgen did not put there "
            f"('{printable(strangers[0])}').\nMove it away, or choose another --out."
        )


def remove_work(directory: Path) -> None:
    """Remove a work directory with all that it holds; nothing happens to what has no mark of ours."""
    if (directory / MARK).is_file():
        shutil.rmtree(directory, ignore_errors=True)


@contextlib.contextmanager
def hold(directory: Path, patience: float = 0.0) -> Iterator[None]:
    """Hold a directory for this process; raises UsageError where another still has it after some seconds.

    The lock goes with the process, so nothing is left to clean up after a kill. What is empty at the end is removed.
    """
    directory.mkdir(parents=True, exist_ok=True)
    lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # Processes of one launch share the work: the first of them holds the directory for all.
        end = time.monotonic() + patience
        while first_process() and not try_lock(lock):
            if time.monotonic() < end:
                time.sleep(0.1)
                continue
            raise UsageError(
                f"{printable(str(directory))}: another weightgen process is at work there. Wait for it, or choose "
                "another --out."
            )
        try:
            yield
        finally:
            if first_process():
                with contextlib.suppress(OSError):  # it holds something, or is gone
                    directory.rmdir()
    finally:
        os.close(lock)
