"""Places to write to, looked at before the work and not after it."""

from __future__ import annotations

import os
from collections.abc import Sequence
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


def refuse_overlap(out: Path, made_from: Sequence[Path | None], data: Sequence[Path | None] = ()) -> None:
    """Raise UsageError where a directory to write is what it would be made from, lies in it, or holds it.

    By what files are, not by what their paths say. `data` may hold what is written, since the current directory often
    is the data, but may not be it, nor lie in it. What is None or not there is passed over.
    """
    above = [p for p in (out.resolve(), *out.resolve().parents) if p.exists()]
    target = out.resolve()
    for source in (p for p in made_from if p is not None and p.exists()):
        if any(place.samefile(source) for place in above):
            same = out.exists() and out.samefile(source)
            reason = (
                "is what it would be made from" if same else f"lies in {printable(str(source))}, which it is made from"
            )
            raise UsageError(f"{printable(str(out))}: {reason}. Choose another directory.")
    for source in (p for p in (*made_from, *data) if p is not None and p.exists()):
        if target.exists() and any(p.samefile(target) for p in (source.resolve(), *source.resolve().parents)):
            raise UsageError(
                f"{printable(str(out))}: is or holds {printable(str(source))}, which it would be made from. "
                "Choose another directory."
            )


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
