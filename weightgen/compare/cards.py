"""The evidence of a race, written into the model card of each start that took part."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from weightgen.compare.evidence import evidence
from weightgen.compare.schema import Results
from weightgen.errors import UsageError, printable
from weightgen.models.names import resolve
from weightgen.publishing.checkpoint import publish
from weightgen.publishing.manifest import NAME, check
from weightgen.starts.start import parse_start

CARD = "README.md"
RESERVED = ("schema", "created_by", "files")


def write_evidence(results: Results) -> list[Path]:
    """Publish every checkpoint of a race again with what was found in its card; returns their directories.

    Raises UsageError where a start is no directory that weightgen published, CheckError where one was changed since.
    """
    directories = {s["name"]: _directory(s["text"]) for s in results["starts"] if s["kind"] == "checkpoint"}
    for name, directory in directories.items():
        add_section(directory, evidence(results, name))
    return list(directories.values())


def add_section(directory: Path, section: str) -> None:
    """Publish what weightgen published again, with a section in its card; raises CheckError where it was changed."""
    manifest = check(directory)
    with publish(directory, force=True) as staged:
        for file in (f for f in manifest["files"] if f != CARD):
            (staged.path / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(directory / file, staged.path / file)
        before = (directory / CARD).read_text(encoding="utf-8") if CARD in manifest["files"] else ""
        (staged.path / CARD).write_text(with_section(before, section), encoding="utf-8")
        staged.manifest.update({k: v for k, v in manifest.items() if k not in RESERVED})


def with_section(card: str, section: str) -> str:
    """Return a card with a section added at its end, in place of an earlier one of the same heading."""
    heading = section.splitlines()[0]
    kept = re.sub(rf"(?ms)^{re.escape(heading)}$.*?(?=^## |\Z)", "", card)
    return f"{kept.rstrip()}\n\n{section.strip()}\n"


def _directory(text: str) -> Path:
    directory = resolve(parse_start(text).directory).directory
    if directory is None or not (directory / NAME).is_file():
        raise UsageError(f"--card: '{printable(text)}' is no directory that weightgen published")
    return directory
