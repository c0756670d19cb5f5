"""Single files, written whole or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
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
    write_files(path.parent, {path.name: data})


def write_files(directory: Path, contents: Mapping[str, bytes]) -> None:
    """Write files of a directory, made where it is not there: all of them are written before the first is in its place.

    What else is in the directory stays. Raises UsageError where a name is that of something else than a file,
    InputError where the disk is full, naming the file; then every file is as it was.
    """
    for name in contents:
        check_regular(directory / name)
    made = not directory.exists()
    directory.mkdir(parents=True, exist_ok=True)
    partials = {name: sibling(directory / name, PARTIAL) for name in contents}
    try:
        for name, content in contents.items():
            _write_synced(partials[name], directory / name, content)
        for name, partial in partials.items():
            os.replace(partial, directory / name)
        sync_directory(directory)
    finally:
        for partial in partials.values():
            partial.unlink(missing_ok=True)
        if made and not any(directory.iterdir()):
            directory.rmdir()


def _write_synced(partial: Path, path: Path, content: bytes) -> None:
    try:
        with open(partial, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        if error.errno in FULL:
            raise no_space(path, f"needed {len(content)} bytes to write {printable(path.name)}") from error
        raise


def no_space(target: Path, detail: str) -> InputError:
    """Return the error of a disk on which a target does not fit."""
    return InputError(
        f"no space left on {printable(str(target.parent))}: {detail}.\nFree some space or choose another directory."
    )
