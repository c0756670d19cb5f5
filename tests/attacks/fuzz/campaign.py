"""Many cases, each of its own number: one process imports everything, and a copy of it is forked for each."""

from __future__ import annotations

import contextlib
import importlib
import os
import pkgutil
import shlex
import shutil
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import weightgen
from tests.attacks.fuzz.case import LIMIT, Case, Finding
from tests.attacks.fuzz.child import Child, Ended
from tests.attacks.fuzz.kinds import FILES, MAKE, RECIPES, WORDS, kinds, recipe_file

POLL = 0.005


@dataclass
class Tally:
    """What came of the cases so far."""

    codes: Counter[int] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    bytes: int = 0
    seconds: float = 0.0


class Campaign:
    """Cases in a directory, all from one seed."""

    def __init__(self, home: Path, seed: int) -> None:
        self.home, self.seed, self.kinds = home, seed, kinds()
        self.inputs = home / "inputs"
        self.names = [*FILES, *self.kinds]  # files twice: what is in them is read the furthest

    def prepare(self) -> None:
        """Make every input, with our own commands where they make such files, and import what they import."""
        from tests.attacks.fuzz.inputs import make_inputs

        for module in pkgutil.walk_packages(weightgen.__path__, "weightgen."):
            _import(module.name)
        self.inputs.mkdir(parents=True)
        self._forked(lambda: make_inputs(self.inputs))
        for name, command in MAKE.items():
            self._must_work([*shlex.split(command), "--out", name], self.inputs)
        for name in RECIPES:
            ended = self._must_work([*FILES[name].words, "--print-recipe"], self.inputs)
            lines = [line for line in ended.out.splitlines() if not line.startswith(("out:", "render:"))]
            (self.inputs / recipe_file(name)).write_text("\n".join(lines) + "\n")

    def unchanged(self) -> Iterator[Finding]:
        """Carry out every kind of case with nothing changed, which must work; yield those that do not."""
        for name, kind in self.kinds.items():
            if kind.changed == (WORDS,):
                continue
            case = Case(self.inputs, name, kind, self.home / "unchanged", None)
            yield from case.judge(self._finish(case.child), -1)
            case.clear()

    def run(self, numbers: list[int], workers: int, only: str, keep: bool) -> Tally:
        """Carry out cases, several at a time."""
        names = [n for n in self.names if only in n]
        tally, waiting = Tally(), list(reversed(numbers))
        going: list[tuple[int, Case]] = []
        while waiting or going:
            while waiting and len(going) < workers:
                number = waiting.pop()
                name, draw = names[number % len(names)], Random(f"{self.seed}-{number}")
                place = self.home / f"case-{number}"
                going.append((number, Case(self.inputs, name, self.kinds[name], place, draw)))
            time.sleep(POLL)
            for entry in list(going):
                number, case = entry
                ended = case.child.poll()
                if ended is None:
                    continue
                going.remove(entry)
                found = list(case.judge(ended, number))
                tally.findings += found
                tally.codes[ended.code] += 1
                tally.bytes, tally.seconds = max(tally.bytes, ended.bytes), tally.seconds + ended.seconds
                for finding in found:
                    print(f"{finding.number} {finding.kind}: {finding.place}", flush=True)
                if not keep:
                    case.clear()
        return tally

    def _forked(self, work: Callable[[], None]) -> None:
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                work()
                code = 0
            finally:
                sys.stderr.flush()
                os._exit(code)
        if os.waitpid(pid, 0)[1]:
            raise RuntimeError("the inputs could not be made")

    def _finish(self, child: Child) -> Ended:
        while (ended := child.poll()) is None:
            time.sleep(POLL)
        return ended

    def _must_work(self, words: list[str], place: Path) -> Ended:
        modules = self.home / "modules"
        child = Child(lambda _: words, place, LIMIT, modules)
        ended = self._finish(child)
        shutil.rmtree(child.scratch)
        if ended.code:
            raise RuntimeError(f"{shlex.join(words)}: ended with {ended.code}\n{ended.err}{ended.fault}")
        for module in modules.read_text().splitlines():
            _import(module)
        return ended


def _import(name: str) -> None:
    """Import a module, so that no fork has to."""
    if name not in sys.modules:
        with warnings.catch_warnings(), contextlib.suppress(Exception):  # names that libraries put there for a while
            warnings.simplefilter("ignore")
            importlib.import_module(name)
