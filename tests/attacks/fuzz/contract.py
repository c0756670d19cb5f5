"""What every command keeps to, whatever it is given."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

from tests.attacks.fuzz.child import Ended

CODES = (0, 1, 2, 3, 4, 130)
SECONDS = 40.0
"""Of processor time, where no recipe and no option asked for more."""
BYTES = 2 << 30
WORK = (".training", ".collecting")
"""Directories beside an output that hold work to go on with."""


def problems(ended: Ended, place: Path, before: frozenset[str], unbounded: bool) -> Iterator[str]:
    """Say what a command broke of its contract; `before` names what lay in its directory."""
    if ended.fault:
        yield "fault"
    elif ended.code not in CODES:
        yield f"ended with {ended.code}"
    if "Traceback (most recent call last)" in ended.out + ended.err:
        yield "traceback"
    if ended.interrupted and ended.code != 130 and not unbounded:
        yield "hangs"
    elif (ended.interrupted and not unbounded) or (ended.seconds > SECONDS and not unbounded):
        yield "slow"
    if ended.bytes > BYTES:
        yield f"takes {ended.bytes >> 20} MiB"
    if ended.code in (2, 3, 4):
        yield from _refusal(ended.err)
    left = sorted(set(os.listdir(place)) - before)
    for name in left:
        yield from _left(place / name, ended.code)


def _refusal(err: str) -> Iterator[str]:
    lines = err.rstrip("\n").split("\n")
    first = next((i for i, line in enumerate(lines) if line.startswith("error: ")), None)
    if first is None:
        yield "says no error"
    elif len(lines) - first > 3:
        yield "says more than three lines"
    elif not all(line.isprintable() for line in lines[first:]):
        yield "says what cannot be printed"


def _left(path: Path, code: int) -> Iterator[str]:
    """Say what is wrong with something that a command left in its directory."""
    from weightgen.publishing.work_directory import MARK

    race = (path / "recipe.yaml").is_file() and not (path / "manifest.json").exists()
    if path.suffix in WORK or (code and (race or (path / MARK).exists())):
        if not code:
            yield f"leaves work: {path.suffix}"
    elif code not in (0, 1) and list(_incomplete(path)):
        yield f"leaves '{path.name}'"
    elif path.is_dir() and not race:
        yield from _incomplete(path)


def _incomplete(directory: Path) -> Iterator[str]:
    from weightgen.errors import WeightgenError
    from weightgen.publishing.checkpoint import verify

    if not directory.is_dir():
        yield "is no directory"
        return
    if (directory / "report.html").is_file():
        return
    if not (directory / "manifest.json").exists():
        if not any(directory.glob("*.png")):
            yield "leaves a directory without a manifest"
        return
    try:
        verify(directory)
    except WeightgenError as error:
        yield f"leaves a directory that does not verify: {error}"
    for file in directory.rglob("*.json"):
        try:
            json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            yield f"writes {file.name} that is no JSON: {error}"
