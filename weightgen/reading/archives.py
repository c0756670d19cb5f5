"""Zip files of others: what they hold is added up before anything is unpacked."""

from __future__ import annotations

import shutil
import zipfile
import zlib
from pathlib import Path

from weightgen.errors import InputError, printable

RATIO, SMALL = 200, 64 << 20
"""A file of more bytes than SMALL that shrank to less than a RATIO-th is no picture, sound, mesh or text."""
MAX_FILES = 2_000_000


def unpacked(file: Path) -> Path:
    """Return a directory with a zip's content, unpacked (guarded against traversal) into the cache of `datasets`.

    Raises InputError for what is no zip, is encrypted, or expands beyond what is on the disk or what files are made of.
    """
    import datasets

    shown = printable(str(file))
    if not zipfile.is_zipfile(file):
        raise InputError(f"{shown}: is no zip file")
    try:
        check_archive(file)
        return Path(datasets.DownloadManager().extract(str(file.resolve())))
    except (OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError, ValueError, EOFError, zlib.error) as error:
        raise InputError(f"{shown}: cannot be unpacked ({printable(str(error))})") from error


def check_archive(file: Path) -> None:
    """Raise InputError for a zip that should not be unpacked, by what its directory says of its files."""
    shown = printable(str(file))
    with zipfile.ZipFile(file) as archive:
        inside = archive.infolist()
    if len(inside) > MAX_FILES:
        raise InputError(f"{shown}: holds {len(inside):,} files, the limit is {MAX_FILES:,}")
    for one in inside:
        name = printable(one.filename, 60)
        if one.flag_bits & 1:
            raise InputError(f"{shown}: '{name}' is encrypted. Unpack it yourself, and pass the folder.")
        if one.file_size > max(SMALL, RATIO * one.compress_size):
            times = one.file_size / max(1, one.compress_size)
            raise InputError(
                f"{shown}: '{name}' expands {times:,.0f} times, to {one.file_size:,} bytes.\n"
                "No picture, sound, mesh or text does. Unpack it yourself, if you know what it is."
            )
    total, free = sum(one.file_size for one in inside), shutil.disk_usage(file.resolve().parent).free
    if total > free:
        raise InputError(f"{shown}: expands to {total:,} bytes, {free:,} are free. Free some space.")
