"""A command in a forked copy of a process that has imported everything: within bounds, and watched."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

MEMORY = 3 << 30
"""Bytes that a command may add to the address space of the process that it is forked from."""
PATIENCE = 20.0
"""Seconds in which a command that is interrupted must have ended."""


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    """Exit code; negative: the signal that killed it."""
    out: str
    err: str
    seconds: float
    """Of processor time."""
    bytes: int
    """Largest memory beyond that of the process it was forked from."""
    interrupted: bool
    """Whether it took so long that it was interrupted."""
    fault: str = ""
    """Traceback of a fault of ours."""


Make = Callable[[Path], list[str]]
"""From a file for notes to the words of a command."""


class Child:
    """A command that goes on in a directory, which is its current one."""

    def __init__(self, make: Make, place: Path, limit: float, modules: Path | None = None) -> None:
        """Begin it: `make` makes its directory, takes notes, says its words. After `limit` seconds it is interrupted.

        `modules`: file for the names of what it imported.
        """
        self.place, self.scratch = place, place.with_name(place.name + ".scratch")
        self.note = self.scratch / "case.json"
        self.scratch.mkdir()
        self.pid = os.fork()
        if self.pid == 0:
            _carry_out(make, place, self.scratch, modules)
        self.began, self.limit, self.interrupted = time.monotonic(), limit, False

    def poll(self) -> Ended | None:
        """Return how it ended, or None while it goes on."""
        pid, status, usage = os.wait4(self.pid, os.WNOHANG)
        if pid == 0:
            late = time.monotonic() - self.began - self.limit
            if late > 0 and not self.interrupted:
                self.interrupted = True
                os.kill(self.pid, signal.SIGINT)
            elif late > PATIENCE:
                os.killpg(self.pid, signal.SIGKILL)
            return None
        with contextlib.suppress(ProcessLookupError):  # what it may have left running
            os.killpg(self.pid, signal.SIGKILL)
        faults = sorted((self.scratch / "tmp").glob("weightgen-fault-*"))
        return Ended(
            os.waitstatus_to_exitcode(status),
            *((self.scratch / name).read_text(errors="backslashreplace") for name in ("out", "err")),
            usage.ru_utime + usage.ru_stime,
            max(0, usage.ru_maxrss * 1024 - int((self.scratch / "memory").read_text() or 0)),
            self.interrupted,
            faults[0].read_text() if faults else "",
        )


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def _carry_out(make: Make, place: Path, scratch: Path, modules: Path | None) -> None:
    """Run the command line, and end this process."""
    code = 99
    try:
        from weightgen.cli import main

        os.setsid()
        for number, name in ((0, os.devnull), (1, scratch / "out"), (2, scratch / "err")):
            os.dup2(os.open(name, os.O_RDWR | os.O_CREAT, 0o600), number)
        (scratch / "tmp").mkdir()
        (scratch / "memory").write_text(str(_resident()))
        words = make(scratch / "case.json")
        os.environ["TMPDIR"] = tempfile.tempdir = str(scratch / "tmp")
        os.chdir(place)
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, size + MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            main(words)
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 98
        if modules is not None:
            modules.write_text("\n".join(sys.modules))
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)
