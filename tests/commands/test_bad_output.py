"""Where results cannot be written: what is there already, no space, no permission, and a process that is killed."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tests.conftest import SMALL_LLAMA, Command
from weightgen.models.tensorwriter import TensorWriter

WEIGHTS = "model.safetensors"


def test_an_existing_output(command: Command, llama: Path, tmp_path: Path) -> None:
    words = ("subclone", "--src", llama, *SMALL_LLAMA, "--out", "out")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    command(*words).refused(2, "out: already exists", "--force")
    # Asked before any work: the source is not even looked for.
    command("subclone", "--src", "./none", *words[3:]).refused(2, "out: already exists")
    command(*words, "--force").refused(2, "is not a weightgen checkpoint")
    shutil.rmtree(tmp_path / "out")
    assert command(*words).code == 0
    command(*words).refused(2, "out: already exists", "--force")
    assert command(*words, "--force", "--quiet").code == 0
    (tmp_path / "file").write_text("mine")
    command(*words[:-1], "file/out").refused(2, "file")


def test_a_full_disk(command: Command, llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append, count = TensorWriter.append, 0

    def full(self: TensorWriter, name: str, piece: np.ndarray) -> None:
        nonlocal count
        count += 1
        if count > 5:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        append(self, name, piece)

    monkeypatch.setattr(TensorWriter, "append", full)
    words = ("subclone", "--src", llama, *SMALL_LLAMA, "--out", "out")
    command(*words).refused(3, "no space left on", "No space left on device", "are free", "Free some space")


def test_too_little_space_is_refused_before_anything_is_written(
    command: Command, llama: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=100))
    monkeypatch.setattr(TensorWriter, "append", lambda *_: pytest.fail("written"))
    words = ("subclone", "--src", llama, *SMALL_LLAMA, "--out", "out")
    command(*words).refused(3, "no space left on", "needed 10912 bytes, 100 are free")


def test_a_limit_on_file_sizes(command: Command, llama: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
        outcome = command("subclone", "--src", llama, *SMALL_LLAMA, "--out", "out", "--quiet")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    outcome.refused(3, "no space left on", f"writing {WEIGHTS} failed (File too large): needed", "are free")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_without_permission(command: Command, llama: Path, tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    command("subclone", "--src", llama, *SMALL_LLAMA, "--out", "locked/out").refused(2, "cannot be written to")


def test_an_unforeseen_system_error_is_one_line(command: Command, llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(self: TensorWriter, name: str, piece: np.ndarray) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "model\x1b.safetensors")

    monkeypatch.setattr(TensorWriter, "append", fails)
    outcome = command("subclone", "--src", llama, *SMALL_LLAMA, "--out", "out", "--quiet")
    outcome.refused(3, "model\\x1b.safetensors: Permission denied")


KILLED = """
import os, signal, sys
from weightgen.models.tensorwriter import TensorWriter
from weightgen.cli import main

append, count = TensorWriter.append, 0
def kills(self, name, piece):
    global count
    count += 1
    if count == 8:
        os.kill(os.getpid(), signal.SIGKILL)
    append(self, name, piece)
TensorWriter.append = kills
main(sys.argv[1:])
"""


def test_kill_in_the_middle(command: Command, llama: Path, tmp_path: Path) -> None:
    words = ("subclone", "--src", llama, *SMALL_LLAMA, "--out", tmp_path / "out", "--force")
    assert command(*words).code == 0
    before = (tmp_path / "out" / WEIGHTS).read_bytes()
    process = subprocess.run([sys.executable, "-c", KILLED, *map(str, words), "--seed", "1"], capture_output=True)
    assert process.returncode == -signal.SIGKILL, process.stderr
    assert any(p.name.startswith(".out.partial-") for p in tmp_path.iterdir())
    assert command("verify", "out").code == 0
    assert (tmp_path / "out" / WEIGHTS).read_bytes() == before
    assert command(*words, "--seed", "1").code == 0
    assert command("verify", "out").code == 0
    assert os.listdir(tmp_path) == ["out"]
