"""A checkpoint appears whole or not at all: staged beside its place, synced, verified, renamed.

At every instant, kill -9 included, the target is the old checkpoint, the new one, or (only where the system cannot
exchange two directories) absent for the moment between two renames, which `recover` undoes.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from weightgen.errors import InputError, UsageError, printable
from weightgen.launch import first_process
from weightgen.manifest import check, read_manifest, sync_directory, write_manifest
from weightgen.places import check_place, check_regular

PARTIAL = "partial"  # being written, or being removed: never worth anything
REPLACED = "replaced"  # the complete old checkpoint, between two renames
RENAME_NOREPLACE, RENAME_EXCHANGE, AT_FDCWD = 1, 2, -100
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


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
    _remove_stale(target)
    free = shutil.disk_usage(target.parent).free
    if needed > free:
        raise _no_space(target, f"needed {needed} bytes, {free} are free")
    staging = _sibling(target, PARTIAL)
    try:
        staging.mkdir()
    except OSError as error:
        raise UsageError(
            f"{printable(str(target.parent))}: cannot be written to ({error.strerror}). Choose another directory."
        ) from error
    lock = os.open(staging, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _try_lock(lock)
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
        raise _no_space(target, f"{_unfinished(staging, error)}: {wanted}{free} are free") from error
    finally:
        # Either unfinished, or after an exchange the old checkpoint.
        shutil.rmtree(staging, ignore_errors=True)
        os.close(lock)


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
        while first_process() and not _try_lock(lock):
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


def write_file(path: Path, data: bytes) -> None:
    """Write a file that is there whole or not at all.

    Raises UsageError where something else than a file has its name, InputError where the disk is full.
    """
    check_regular(path)
    partial = _sibling(path, PARTIAL)
    try:
        with open(partial, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        if error.errno in FULL:
            raise _no_space(path, f"needed {len(data)} bytes") from error
        raise
    sync_directory(path.parent)


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
    for old in _siblings(directory, REPLACED):
        if _owner_is_alive(old):
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
    """Raise UsageError when `publish` would refuse the target; a command asks before it starts to work."""
    if not os.path.lexists(target):
        check_place(target)
        return
    shown = printable(str(target))
    if not force:
        raise UsageError(f"{shown}: already exists. Choose another directory, or replace it with --force.")
    if target.is_dir() and not any(target.iterdir()):
        return
    try:
        read_manifest(target)
    except InputError as error:
        raise UsageError(
            f"{shown}: is not a weightgen checkpoint, and --force replaces nothing else.\n"
            "Choose another directory, or remove this one yourself."
        ) from error


def _place(staging: Path, target: Path, force: bool) -> None:
    if not os.path.lexists(target):
        try:
            if not _renameat2(staging, target, RENAME_NOREPLACE):
                os.rename(staging, target)  # cannot overwrite a checkpoint: rename wants an empty directory
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
                raise
            raise UsageError(
                f"{printable(str(target))}: appeared while its files were written. Use --force or another directory."
            ) from error
        return
    check_target(target, force)  # it may have appeared, or changed, while the new one was being written
    if _renameat2(staging, target, RENAME_EXCHANGE):
        return
    old = _sibling(target, REPLACED)
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
    trash = _sibling(target, PARTIAL)
    os.rename(old, trash)
    shutil.rmtree(trash, ignore_errors=True)


def _renameat2(source: Path, target: Path, flags: int) -> bool:
    """Rename by the Linux call that can exchange; False where kernel or file system do not offer it."""
    try:
        call = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):
        return False
    if call(AT_FDCWD, os.fsencode(source), AT_FDCWD, os.fsencode(target), flags) == 0:
        return True
    code = ctypes.get_errno()
    if code in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP):
        return False
    raise OSError(code, os.strerror(code), str(target))


def _sibling(target: Path, kind: str) -> Path:
    return target.parent / f".{target.name}.{kind}-{os.getpid()}-{secrets.token_hex(4)}"


def _siblings(target: Path, kind: str) -> list[Path]:
    try:
        names = os.listdir(target.parent)
    except OSError:  # no such parent: nothing was left there
        return []
    return [target.parent / name for name in sorted(names) if name.startswith(f".{target.name}.{kind}-")]


def _remove_stale(target: Path) -> None:
    for path in _siblings(target, PARTIAL):
        if _owner_is_alive(path):
            continue
        with contextlib.suppress(OSError):  # not ours to open: leave it
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                # The lock also tells of owners in another container or on another host, whose ids mean nothing here.
                if _try_lock(descriptor):
                    shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # held, or a file system without locks
        return False
    return True


def _owner_is_alive(path: Path) -> bool:
    number = path.name.rsplit("-", 2)[-2]
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return False
    except (ValueError, OverflowError, PermissionError):  # not a name that we give, or another user's process
        return True
    return True


def _unfinished(staging: Path, error: OSError) -> str:
    """Name the file whose writing failed, and what the system said: a quota or a limit leaves space that is free."""
    if isinstance(error.filename, str):
        name = Path(error.filename).name
    else:  # writing through a file object does not tell: the youngest is the one that was being written
        files = sorted((f for f in staging.rglob("*") if f.is_file()), key=lambda f: f.lstat().st_mtime_ns)
        name = files[-1].name if files else "the first file"
    return f"writing {printable(name)} failed ({error.strerror})"


def _no_space(target: Path, detail: str) -> InputError:
    return InputError(
        f"no space left on {printable(str(target.parent))}: {detail}.\nFree some space or choose another directory."
    )
