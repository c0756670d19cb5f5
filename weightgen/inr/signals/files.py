"""Finding the files of a set of signals: a file, a folder, a zip of one; and which of them to learn from."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from weightgen.errors import InputError, UsageError, printable
from weightgen.reading.archives import unpacked
from weightgen.reading.files import in_package
from weightgen.reading.folders import data_files, visible

MAX_FILE = 1 << 30  # bytes of one signal's file
SPLITS = {"train": ("train", "training"), "test": ("test", "validation", "val")}
"""Names of folders that say what they are for; without a `test` folder, `validation` is the one that is reported."""


def find_files(data: str, suffixes: tuple[str, ...], what: str, beside: tuple[str, ...] = ()) -> list[Path]:
    """Return the files with such suffixes of a file, folder or zip, in the order of their names.

    `package:NAME/path` is one inside an installed Python package. `beside`: suffixes of what belongs to such files.
    Raises UsageError where there is no such path, InputError where there is nothing usable.
    """
    package = data.removeprefix("package:")
    path = in_package(package) if package != data else Path(data).expanduser()
    shown = printable(data)
    if not path.exists():
        raise UsageError(f"{shown}: no such file or directory")
    if path.is_file() and path.suffix.lower() == ".zip":
        path = unpacked(path)
    if path.is_dir():
        found = data_files(path, suffixes, beside=beside)
        if not found:
            raise InputError(f"{shown}: expected {what} ({', '.join(suffixes)}), found none")
    elif path.is_file() and path.suffix.lower() in suffixes:
        found = [path]
    elif path.is_file():
        raise InputError(f"{shown}: expected {what} ({', '.join(suffixes)})")
    else:
        raise InputError(f"{shown}: is neither a file nor a directory")
    for file in found:
        if file.stat().st_size > MAX_FILE:
            raise InputError(f"{printable(str(file))}: has more than {MAX_FILE} bytes")
    return found


def names_of(files: Sequence[Path]) -> list[str]:
    """Return names that tell files apart: without suffixes and folders, as far as none are alike without them."""
    stems = [f.stem for f in files]
    if len(set(stems)) == len(stems):
        return stems
    shared = os.path.commonpath([f.parent for f in files])
    names = [f.relative_to(shared) for f in files]
    stems = [n.with_suffix("").as_posix() for n in names]
    return stems if len(set(stems)) == len(stems) else [n.as_posix() for n in names]


def splits(data: str) -> dict[str, str]:
    """Return the folders to learn from and to report on, where folders inside are named so; else nothing."""
    path = Path(data).expanduser()
    if path.is_file() and path.suffix.lower() == ".zip":
        path = unpacked(path)
        inside = [p for p in path.iterdir() if visible(p, path)]
        path = inside[0] if len(inside) == 1 else path  # as folders are usually zipped
    if not path.is_dir():
        return {}
    found = {
        split: next((str(path / n) for n in names if (path / n).is_dir()), None) for split, names in SPLITS.items()
    }
    return {split: folder for split, folder in found.items() if folder} if found["train"] else {}
