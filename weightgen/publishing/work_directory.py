"""Directories for work that goes on over several calls, held by one process at a time."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from weightgen.console import first_process
from weightgen.errors import UsageError, printable
from weightgen.publishing.leftovers import try_lock


@contextlib.contextmanager
def hold(directory: Path, patience: float = 0.0) -> Iterator[None]:
    """Hold a working directory for this process; raises UsageError where another still has it after some seconds.

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
