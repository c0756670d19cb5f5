"""The one rule for what is data in a user's folder."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Collection
from pathlib import Path

from weightgen.errors import Remark, printable

SHOWN = 4  # kinds of files that are named


def visible(file: Path, below: Path) -> bool:
    """Whether neither a file nor a folder on the way to it is hidden, or one that macOS adds to archives."""
    return not any(part.startswith(".") or part == "__MACOSX" for part in file.relative_to(below).parts)


def data_files(
    directory: Path, suffixes: Collection[str], deep: bool = True, beside: Collection[str] = ()
) -> list[Path]:
    """Return the files with such suffixes, in lower case, in the order of their names; with those of folders inside.

    What else lies there and is not hidden is counted in a `Remark`, but for suffixes that belong `beside` the data.
    """
    every = sorted(directory.rglob("*") if deep else directory.iterdir())
    files = [file for file in every if visible(file, directory) and file.is_file()]
    found = [file for file in files if file.suffix.lower() in suffixes]
    kinds_left = (file.suffix.lower() for file in files)
    others = Counter(k or "without a suffix" for k in kinds_left if k not in suffixes and k not in beside)
    if found and others:
        kinds = ", ".join(f"{count} {printable(kind, 20)}" for kind, count in others.most_common(SHOWN))
        more = ", ..." if len(others) > SHOWN else ""
        count = sum(others.values())
        said = f"{count} other file{'s are' if count > 1 else ' is'} left out ({kinds}{more})"
        read = f"{len(found)} file{'s are' if len(found) > 1 else ' is'} read"
        warnings.warn(f"{printable(str(directory))}: {read}, {said}", Remark, stacklevel=2)
    return found
