"""Single files, written whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from weightgen.errors import InputError, printable
from weightgen.publishing.destination import check_regular
from weightgen.publishing.leftovers import PARTIAL, sibling
from weightgen.publishing.manifest import sync_directory

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Errors of a disk that takes no more."""


def write_file(path: Path, data: bytes) -> None:
    """Write a file that is there whole or not at all.

    Raises UsageError where something else than a file has its name, InputError where the disk is full.
    """
    check_regular(path)
    partial = sibling(path, PARTIAL)
    try:
        with open(partial, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        if error.errno in FULL:
            raise no_space(path, f"needed {len(data)} bytes") from error
        raise
    sync_directory(path.parent)


def no_space(target: Path, detail: str) -> InputError:
    """Return the error of a disk on which a target does not fit."""
    return InputError(
        f"no space left on {printable(str(target.parent))}: {detail}.\nFree some space or choose another directory."
    )
