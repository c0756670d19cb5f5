"""The one sink of everything a command says: data on stdout, messages on stderr."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from weightgen.errors import Remark, printable


class Progress(Protocol):
    """Hears how far the work is."""

    def __call__(self, done: int, total: int, words: str = "", /) -> None:
        """Show `done` of `total`, and what else there is to say."""


def shell_word(text: str | Path) -> str:
    """Return a name as a word of a command line that works as printed, whatever bytes it is made of."""
    text = str(text)
    if text.isprintable():
        return shlex.quote(text)
    safe = (chr(b) if 32 <= b < 127 and chr(b) not in "'\\" else f"\\x{b:02x}" for b in os.fsencode(text))
    return f"$'{''.join(safe)}'"


def python_word(text: str | Path) -> str:
    """Return a name as a literal of Python in double quotes, without what cannot be seen."""
    marks = {'"': '\\"', "\\": "\\\\"}
    return '"' + "".join(marks.get(c) or printable(c) for c in str(text)) + '"'


def first_process() -> bool:
    """Whether this process speaks for its launch (accelerate launch, torchrun): alone, or the first of several."""
    return int(os.environ.get("RANK", "0")) == 0


@contextmanager
def without_remarks(logger: str) -> Iterator[None]:
    """Silence a library's logger below errors while the block runs: its remarks would only puzzle the user."""
    import logging

    found = logging.getLogger(logger)
    before = found.level
    found.setLevel(logging.ERROR)
    try:
        yield
    finally:
        found.setLevel(before)


class Reporter(Protocol):
    """What a job tells on its way; a console is one, and so is `SILENT`."""

    def note(self, text: str) -> None:
        """Say something on the way."""

    def warn(self, text: str) -> None:
        """Say something that the user should look at."""

    def progress(self, label: str) -> AbstractContextManager[Progress]:
        """Show how far the work is while the block runs."""


def unheard(done: int, total: int, words: str = "", /) -> None:
    """Hear progress, and say nothing of it."""


class Silent:
    """Tells nobody: the Python API's results say what there is to know."""

    def note(self, text: str) -> None:
        """Say nothing."""

    def warn(self, text: str) -> None:
        """Say nothing."""

    def progress(self, label: str) -> AbstractContextManager[Progress]:
        """Show nothing."""
        return nullcontext(unheard)


SILENT = Silent()


@dataclass(frozen=True)
class Console:
    """Where output goes: human text by default, one JSON object with `json`, only errors with `quiet`."""

    json: bool = False
    quiet: bool = False

    def note(self, text: str) -> None:
        """Say something on the way."""
        if not (self.quiet or self.json) and first_process():
            print(text, file=sys.stderr, flush=True)

    def warn(self, text: str) -> None:
        """Say something that the user should look at; shown even when quiet."""
        if not self.json and first_process():
            print(f"warning: {text}", file=sys.stderr, flush=True)

    def result(self, data: dict[str, Any], text: str) -> None:
        """Give the command's result, once."""
        if not first_process():
            return
        if self.json:
            print(json.dumps(data, indent=2, ensure_ascii=True))
        elif not self.quiet:
            print(text)

    @contextmanager
    def progress(self, label: str) -> Iterator[Progress]:
        """Show a bar with an ETA for (done, total, words) updates; nothing where stderr is no terminal."""
        if self.json or self.quiet or not (first_process() and sys.stderr.isatty()):
            yield unheard
            return
        from rich.console import Console as RichConsole
        from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[words]}"),
        )
        with Bar(*columns, console=RichConsole(stderr=True)) as bar:
            task = bar.add_task(label, total=None, words="")
            yield lambda done, total, words="": bar.update(task, completed=done, total=total, words=words)


@contextmanager
def remarks_to(reporter: Reporter) -> Iterator[None]:
    """Show what Python code warns of with a `Remark` as notes of a command while the block runs, each once."""
    import warnings

    before: Any = warnings.showwarning
    said: set[str] = set()

    def show(message: Warning | str, category: type[Warning], *place: Any) -> None:
        if not issubclass(category, Remark):
            before(message, category, *place)
        elif str(message) not in said:
            said.add(str(message))
            reporter.note(f"note: {message}")

    with warnings.catch_warnings():
        warnings.simplefilter("always", Remark)
        warnings.showwarning = show  # type: ignore[assignment]  # takes whatever there is
        yield


def report_error(error: BaseException, as_json: bool) -> None:
    """Print an error in one to three lines, or as a JSON object."""
    lines = [printable(line, 300) for line in str(error).splitlines()[:3]] or [type(error).__name__]
    if as_json:
        print(json.dumps({"error": "\n".join(lines)}))
    print("error: " + "\n       ".join(lines), file=sys.stderr)


def table(rows: Sequence[tuple[str, ...]], header: tuple[str, ...], right: tuple[int, ...] = ()) -> str:
    """Lay out rows as plain text columns; `right` lists the columns aligned to the right."""
    widths = [max(len(r[i]) for r in [header, *rows]) for i in range(len(header))]

    def line(row: tuple[str, ...]) -> str:
        cells = (c.rjust(w) if i in right else c.ljust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True)))
        return "  ".join(cells).rstrip()

    return "\n".join([line(header), "  ".join("-" * w for w in widths), *map(line, rows)])


def human_bytes(count: float) -> str:
    """Write a number of bytes for people (powers of 1000)."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return ""


def human_count(count: float) -> str:
    """Write a number of parameters for people."""
    for unit in ("", " k", " M", " G"):
        if count < 1000 or unit == " G":
            return f"{count:.0f}" if not unit else f"{count:.1f}{unit}"
        count /= 1000
    return ""
