"""`weightgen verify`: check a checkpoint against its manifest."""

from __future__ import annotations

from pathlib import Path

from weightgen.commands.options import Json
from weightgen.console import Console


def verify(directory: Path, /, *, json: Json = False) -> int:
    """Check every file of a checkpoint against its manifest; exit 1 names what was changed.

    Parameters
    ----------
    directory
        The checkpoint.
    """
    from weightgen.publishing.checkpoint import verify as check

    check(directory)
    Console(json).result({"directory": str(directory), "verified": True}, f"{directory}: complete and unchanged")
    return 0
