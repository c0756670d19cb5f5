"""A checkpoint appears whole or not at all: staged beside its place, synced, verified, renamed.

At every instant, kill -9 included, the target is the old checkpoint, the new one, or (only where the system cannot
exchange two directories) absent for the moment between two renames, which `recover` undoes.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from weightgen.errors import InputError, UsageError, printable
from weightgen.publishing.destination import check_place
from weightgen.publishing.exchange import RENAME_EXCHANGE, RENAME_NOREPLACE, renameat2
from weightgen.publishing.files import FULL, no_space
from weightgen.publishing.leftovers import (
    PARTIAL,
    REPLACED,
    owner_is_alive,
    remove_stale,
    sibling,
    siblings,
    try_lock,
)
from weightgen.publishing.manifest import check, is_ours, read_manifest, strangers, sync_directory, write_manifest


@dataclass
class Staged:
    """Where to write the files of a checkpoint, and the fields to add to its manifest."""

    path: Path
    manifest: dict[str, Any] = field(default_factory=dict)


@contextlib.contextmanager
def publish(directory: Path, force: bool = False, needed: int = 0) -> Iterator[Staged]:
    """Yield a staging directory that becomes `directory` when the block ends without an exception.

    An existing target is refused unless `force`, which replaces only checkpoints and empty directories.
    `needed`: bytes that will be written, if known; refused beforehand when the disk has fewer.
    Raises UsageError (target exists), InputError (no space), CheckError (what was written does not verify).
    """
    target = Path(directory).resolve()
    recover(target)
    check_target(target, force)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"{printable(str(target.parent))}: cannot be created ({error.strerror}). Choose another directory."
        ) from error
    remove_stale(target)
    free = shutil.disk_usage(target.parent).free
    if needed > free:
        raise no_space(target, f"needed {needed} bytes, {free} are free")
    staging = sibling(target, PARTIAL)
    try:
        staging.mkdir()
    except OSError as error:
        raise UsageError(
            f"{printable(str(target.parent))}: cannot be written to ({error.strerror}). Choose another directory."
        ) from error
    lock = os.open(staging, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try_lock(lock)
        staged = Staged(staging)
        yield staged
        write_manifest(staging, staged.manifest)
        check(staging)
        _place(staging, target, force)
        sync_directory(target.parent)
    except OSError as error:
        if error.errno not in FULL:
            raise
        free = shutil.disk_usage(target.parent).free
        wanted = f"needed {needed} bytes, " if needed else ""
        raise no_space(target, f"{_unfinished(staging, error)}: {wanted}{free} are free") from error
    finally:
        # Either unfinished, or after an exchange the old checkpoint.
        shutil.rmtree(staging, ignore_errors=True)
        os.close(lock)


def verify(directory: Path) -> dict[str, Any]:
    """Return the manifest of a checkpoint whose files are all as published.

    Raises CheckError naming each file that was changed, is missing or was added, and InputError when there is no valid
    manifest.
    """
    recover(Path(directory).resolve())
    if not os.path.isdir(directory):
        raise InputError(f"{printable(str(directory))}: expected the directory of a checkpoint. Check the path.")
    return check(directory)


def recover(directory: Path) -> None:
    """Put back the old checkpoint if a process died between moving it away and moving the new one in."""
    for old in siblings(directory, REPLACED):
        if owner_is_alive(old):
            continue
        if os.path.lexists(directory):
            _discard(old, directory)
            continue
        try:
            os.rename(old, directory)
        except OSError as error:
            raise InputError(
                f"{printable(str(directory))}: was left as {printable(old.name)} by a killed process and cannot be "
                f"put back ({error.strerror}). Rename it yourself."
            ) from error


def check_target(target: Path, force: bool) -> None:
    """Raise UsageError when `publish` would refuse the target; a command asks before it starts to work.

    `force` replaces what weightgen published, with nothing else in it, and empty directories.
    """
    if not os.path.lexists(target):
        check_place(target)
        return
    shown = printable(str(target))
    if not force:
        raise UsageError(f"{shown}: already exists. Choose another directory, or replace it with --force.")
    if target.is_dir() and not any(target.iterdir()):
        return
    advice = "Choose another directory, or remove this one yourself."
    try:
        manifest = read_manifest(target)
    except InputError as error:
        raise UsageError(
            f"{shown}: is not a weightgen checkpoint, and --force replaces nothing else.\n{advice}"
        ) from error
    if not is_ours(manifest):
        raise UsageError(f"{shown}: its manifest is not weightgen's, and --force replaces nothing else.\n{advice}")
    others = strangers(target, manifest)
    if others:
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        raise UsageError(
            f"{shown}: holds '{printable(others[0])}'{more}, which weightgen did not put there, and --force replaces "
            "nothing else.\nMove it away, or choose another directory."
        )


def _place(staging: Path, target: Path, force: bool) -> None:
    if not os.path.lexists(target):
        try:
            if not renameat2(staging, target, RENAME_NOREPLACE):
                os.rename(staging, target)  # cannot overwrite a checkpoint: rename wants an empty directory
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
                raise
            raise UsageError(
                f"{printable(str(target))}: appeared while its files were written. Use --force or another directory."
            ) from error
        return
    check_target(target, force)  # it may have appeared, or changed, while the new one was being written
    if renameat2(staging, target, RENAME_EXCHANGE):
        return
    old = sibling(target, REPLACED)
    os.rename(target, old)
    try:
        os.rename(staging, target)
    except BaseException:
        if not os.path.lexists(target):
            os.rename(old, target)
        raise
    _discard(old, target)


def _discard(old: Path, target: Path) -> None:
    # Under the other name first: a half-removed directory must never be put back by `recover`.
    trash = sibling(target, PARTIAL)
    os.rename(old, trash)
    shutil.rmtree(trash, ignore_errors=True)


def _unfinished(staging: Path, error: OSError) -> str:
    """Name the file whose writing failed, and what the system said: a quota or a limit leaves space that is free."""
    if isinstance(error.filename, str):
        name = Path(error.filename).name
    else:  # writing through a file object does not tell: the youngest is the one that was being written
        files = sorted((f for f in staging.rglob("*") if f.is_file()), key=lambda f: f.lstat().st_mtime_ns)
        name = files[-1].name if files else "the first file"
    return f"writing {printable(name)} failed ({error.strerror})"
