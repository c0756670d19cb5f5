"""The three files of a report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from weightgen.compare.evidence import section
from weightgen.compare.report.page import GENERATOR, page
from weightgen.compare.report.picture import picture
from weightgen.compare.schema import Results
from weightgen.publishing.files import write_files

PAGE, MARKDOWN, PICTURE = "report.html", "report.md", "curves.png"
FILES = (PAGE, MARKDOWN, PICTURE)


def write_report(results: Sequence[Results], directory: Path) -> None:
    """Write report.html, report.md and curves.png, a section per race; all of them replace old ones, or none.

    Raises ValueError without any race, OSError where the directory cannot be written.
    """
    if not results:
        raise ValueError("a report needs the results of at least one race")
    markdown = "\n".join(section(race) for race in results)
    made = {
        PAGE: page(results).encode(),
        MARKDOWN: f"![Curves of all starts]({PICTURE})\n\n{markdown}".encode(),
        PICTURE: picture(results),
    }
    write_files(directory, made)


def is_report(directory: Path) -> bool:
    """Tell whether a directory holds a report of weightgen, or nothing."""
    unfinished = tuple(f".{name}." for name in FILES)  # left by a killed process
    found = {entry.name for entry in directory.iterdir() if not entry.name.startswith(unfinished)}
    if not found:
        return True
    if not found <= set(FILES) or PAGE not in found:
        return False
    with (directory / PAGE).open("rb") as file:
        return GENERATOR.encode() in file.read(2000)
