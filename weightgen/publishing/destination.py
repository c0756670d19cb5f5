"""Places to write to, looked at before the work and not after it."""

from __future__ import annotations

import os
from pathlib import Path

from weightgen.errors import UsageError, printable


def check_place(path: Path) -> None:
    """Raise UsageError where nothing can be put at a path: a file is on the way, or its directory takes no more."""
    above = next(p for p in path.absolute().parents if os.path.lexists(p))
    if not above.is_dir():
        reason = f"{printable(str(above))} is no directory"
    elif not os.access(above, os.W_OK | os.X_OK):
        reason = f"{printable(str(above))} cannot be written to"
    else:
        return
    raise UsageError(f"{printable(str(path))}: cannot be created ({reason}). Choose another place.")


def check_file(path: Path, made_from: Path) -> None:
    """Raise UsageError where a file cannot be written, or would replace what it is made from."""
    refuse_same(path, made_from)
    check_regular(path)
    check_place(path)


def check_regular(path: Path) -> None:
    """Raise UsageError where something else than a file has the name: a device would be replaced."""
    if path.exists() and not path.is_file():
        raise UsageError(f"{printable(str(path))}: exists and is no regular file. Choose another name.")


def refuse_same(path: Path, made_from: Path) -> None:
    """Raise UsageError where a file or folder is what it would be made from."""
    if path.exists() and made_from.exists() and path.samefile(made_from):
        raise UsageError(f"{printable(str(path))}: is what it would be made from. Choose another name.")
