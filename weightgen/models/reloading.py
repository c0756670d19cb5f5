"""What was written is loaded once by its own library, so that no `load:` line is printed that does not work."""

from __future__ import annotations

from pathlib import Path

from weightgen.errors import CheckError, printable
from weightgen.models.architecture import Architecture

FAILURES = (OSError, ValueError, TypeError, KeyError, AttributeError, RuntimeError, ImportError, AssertionError)
"""What libraries raise for what they cannot load."""


def check_loads(architecture: Architecture, directory: Path) -> None:
    """Raise CheckError where the library cannot load a model that was just written, or finds it incomplete.

    Nothing is read but headers where the library can load onto the meta device.
    """
    library = architecture.adapter.name
    try:
        problems = architecture.adapter.reload(architecture, directory)
    except FAILURES as error:
        problems = [(str(error).splitlines() or [type(error).__name__])[0]]
    if problems:
        more = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
        raise CheckError(
            f"{library} does not load what was made: {printable(problems[0], 160)}{more}.\n"
            "Nothing was written. Please report it, with the command and the source's config.json."
        )
