"""Opening files that others wrote: regular ones only, and small ones no further than a limit."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from weightgen.errors import InputError, UsageError, printable


def open_regular(path: Path) -> tuple[int, int]:
    """Open a regular file for reading; return its descriptor and size. Never waits for a FIFO or a device."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise InputError(f"{printable(str(path))}: {error.strerror}. Check the path.") from error
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode):
        return descriptor, status.st_size
    os.close(descriptor)
    kind = {stat.S_IFDIR: "a directory", stat.S_IFIFO: "a FIFO"}.get(stat.S_IFMT(status.st_mode), "a device")
    raise InputError(f"{printable(str(path))}: expected a regular file, found {kind}. Check the path.")


def in_package(rest: str, what: str = "file or directory") -> Path:
    """Return `PACKAGE/path/inside` of an installed Python package, which is found but not imported.

    Raises UsageError where the package is not installed, InputError where it has no such file or directory.
    """
    from importlib.util import find_spec

    package, _, inside = rest.partition("/")
    # A dotted name would import the parent; one that climbs out is no longer inside the package.
    if not package.isidentifier() or ".." in Path(inside).parts or Path(inside).is_absolute():
        raise UsageError(f"'package:{printable(rest)}' is not package:NAME or package:NAME/path/inside")
    spec = find_spec(package)
    homes = list(spec.submodule_search_locations or []) if spec is not None else []
    if not homes:
        raise UsageError(
            f"the Python package '{package}' is not installed here: pip install {package.replace('_', '-')}"
        )
    fits = Path.is_dir if what == "directory" else Path.exists
    found = next((Path(home) / inside for home in homes if fits(Path(home) / inside)), None)
    if found is None:
        raise InputError(f"package:{printable(rest)}: the package has no {what} '{printable(inside)}'")
    return found


def leads_outside(file: Path, home: Path) -> bool:
    """Whether a file of a directory is a link to something outside of it.

    The hub's cache is the one known layout whose files are links: snapshots/REVISION/x -> ../../blobs/HASH.
    """
    inside, target = home.resolve(), file.resolve()
    blobs = inside.parent.parent / "blobs" if inside.parent.name == "snapshots" else inside
    return not target.is_relative_to(inside) and target.parent != blobs


def refuse_outside(file: Path, home: Path) -> None:
    """Raise InputError where a file of a directory is a link that leads out of it."""
    if leads_outside(file, home):
        raise InputError(f"{printable(str(file))}: is a link to a file outside its directory. Replace it by the file.")


def read_small(path: Path, limit: int) -> bytes:
    """Return the content of a file of at most `limit` bytes; raises InputError before more is read."""
    descriptor, size = open_regular(path)
    with open(descriptor, "rb") as file:
        content = file.read(limit + 1) if size <= limit else b""
    if max(size, len(content)) > limit:  # the file may have grown since it was opened
        raise InputError(f"{printable(str(path))}: {size} bytes, the limit is {limit}: not such a file.")
    return content
