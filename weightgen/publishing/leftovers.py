"""What stands beside a target while it is written, and what dead processes left there: names, owners, locks."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
from pathlib import Path

PARTIAL = "partial"
"""Being written, or being removed: never worth anything."""
REPLACED = "replaced"
"""The complete old checkpoint, between two renames."""


def sibling(target: Path, kind: str) -> Path:
    """Return a new name beside a target, which tells its kind and owner."""
    owner = ".".join(filter(None, [str(os.getpid()), _begun(os.getpid())]))
    return target.parent / f".{target.name}.{kind}-{owner}-{secrets.token_hex(4)}"


def siblings(target: Path, kind: str) -> list[Path]:
    """Return what stands beside a target under such names."""
    try:
        names = os.listdir(target.parent)
    except OSError:  # no such parent: nothing was left there
        return []
    return [target.parent / name for name in sorted(names) if name.startswith(f".{target.name}.{kind}-")]


def remove_stale(target: Path) -> None:
    """Remove what dead processes began beside a target."""
    for path in siblings(target, PARTIAL):
        if owner_is_alive(path):
            continue
        with contextlib.suppress(OSError):  # not ours to open: leave it
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                # The lock also tells of owners in another container or on another host, whose ids mean nothing here.
                if try_lock(descriptor):
                    shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(descriptor)


def try_lock(descriptor: int) -> bool:
    """Lock an open directory for as long as it stays open; False where another process has it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # held, or a file system without locks
        return False
    return True


def owner_is_alive(path: Path) -> bool:
    """Whether the process that gave a name still runs, as far as its number and the moment of its birth tell.

    In a container small numbers come again: a process of that number which was born at another moment is another one.
    """
    number, _, born = path.name.rsplit("-", 2)[-2].partition(".")
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return False
    except (ValueError, OverflowError):  # not a name that we give
        return True
    except PermissionError:  # another user's process
        pass
    return not born or _begun(int(number)) in (None, born)


def _begun(process: int) -> str | None:
    """Return when a process began, in ticks since the machine did; None where the system does not tell."""
    try:
        told = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return told.rpartition(")")[2].split()[19]  # field 22 of proc(5); names of programs may hold blanks
