"""One case: a command in a directory of copies of what it reads, changed at random, and what it breaks."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from tests.attacks.fuzz.changes import KEEP, change_file, copy_in, digest, reseal
from tests.attacks.fuzz.child import Child, Ended
from tests.attacks.fuzz.contract import problems
from tests.attacks.fuzz.kinds import WORDS, Kind
from tests.attacks.fuzz.odd import change_words

LIMIT, SHORT = 60.0, 10.0
"""Seconds until a command is interrupted: where files are changed, and where it may have been asked for too much."""


@dataclass(frozen=True)
class Finding:
    """A case that broke the contract."""

    kind: str
    number: int
    command: str
    changes: str
    problem: str
    told: str

    @property
    def place(self) -> str:
        """The problem, and the line of ours where it arose: what findings are counted by."""
        lines = [line.strip() for line in self.told.splitlines()]
        ours = [line for line in lines if line.startswith("File ") and "/weightgen/" in line]
        where = ours[-1].split("/weightgen/")[-1].replace('"', "") if ours else ""
        return f"{self.problem} {where} {lines[-1][:90] if ours and lines else ''}".strip()


class Case:
    """A command and its directory."""

    def __init__(self, inputs: Path, name: str, kind: Kind, place: Path, draw: Random | None) -> None:
        """Say what is changed by `draw`; nothing where there is none."""
        self.inputs, self.name, self.kind, self.place, self.draw = inputs, name, kind, place, draw
        self.child = Child(self._make, place, SHORT if kind.unbounded else LIMIT)

    def _make(self, note: Path) -> list[str]:
        """Make the directory, note how, and return the command line. The child does it: odd files kill libraries."""
        kind, place, draw = self.kind, self.place, self.draw
        copy_in([self.inputs / read for read in kind.reads], place)
        words, changes = list(kind.words), []
        if draw and kind.changed == (WORDS,):
            words = change_words(draw, kind.words, KEEP)
        elif draw:
            files = sorted({f for pattern in kind.changed for f in place.glob(pattern) if f.is_file()})
            for file in draw.sample(files, min(len(files), draw.choice([1, 1, 1, 2]))):
                how = change_file(draw, file, files, self.inputs / "outside")
                changes.append(f"{file.relative_to(place)}: {how}")
            if draw.random() < 0.8:
                reseal(place)
        before = sorted(f.name for f in place.iterdir())
        told = {"words": words, "changes": ", ".join(changes), "before": before, "digests": self._digests(before)}
        note.write_text(json.dumps(told))
        return words

    def judge(self, ended: Ended, number: int) -> Iterator[Finding]:
        """Say what it broke of the contract."""
        if not self.child.note.exists():
            yield Finding(self.name, number, self.kind.command, "", "the case could not be made", ended.err)
            return
        told: dict[str, Any] = json.loads(self.child.note.read_text())
        found = list(problems(ended, self.place, frozenset(told["before"]), self.kind.unbounded))
        if self.draw is None and ended.code:
            found.append(f"unchanged, it ends with {ended.code}")
        if self._digests(told["before"]) != told["digests"]:
            found.append("changes what it reads")
        text = ended.fault or f"{ended.out[-500:]}\n{ended.err[-1500:]}"
        for problem in found:
            yield Finding(self.name, number, shlex.join(told["words"]), told["changes"], problem, text)

    def clear(self) -> None:
        """Remove what is left of it."""
        shutil.rmtree(self.place, ignore_errors=True)
        shutil.rmtree(self.child.scratch)

    def _digests(self, names: list[str]) -> dict[str, str]:
        return {n: digest(self.place / n) for n in names if n != self.kind.owned}
