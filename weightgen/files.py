"""Opening files that others wrote: regular ones only, and small ones no further than a limit."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from weightgen.errors import InputError, printable


def open_regular(path: Path) -> tuple[int, int]:
    """Open a regular file for reading; return its descriptor and size. Never waits for a FIFO or a device."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise InputError(f"{printable(str(path))}: {error.strerror}. Check the path.") from error
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode):
        return descriptor, status.st_size
    os.close(descriptor)
    kind = {stat.S_IFDIR: "a directory", stat.S_IFIFO: "a FIFO"}.get(stat.S_IFMT(status.st_mode), "a device")
    raise InputError(f"{printable(str(path))}: expected a regular file, found {kind}. Check the path.")


def read_small(path: Path, limit: int) -> bytes:
    """Return the content of a file of at most `limit` bytes; raises InputError before more is read."""
    descriptor, size = open_regular(path)
    with open(descriptor, "rb") as file:
        content = file.read(limit + 1) if size <= limit else b""
    if max(size, len(content)) > limit:  # the file may have grown since it was opened
        raise InputError(f"{printable(str(path))}: {size} bytes, the limit is {limit}: not such a file.")
    return content
