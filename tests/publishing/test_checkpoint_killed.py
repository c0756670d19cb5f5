"""What a killed process leaves behind, at every step, and who clears it away."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.publishing.test_checkpoint import put, state
from weightgen.errors import UsageError
from weightgen.models.weights import open_weights
from weightgen.publishing import checkpoint
from weightgen.publishing.checkpoint import publish, verify

DEAD = "4194305"  # above the largest process id that Linux gives

# Every call that changes the disk is counted in a forked child, which kills itself before the N-th.
KILLER = """
import builtins, os, signal, sys
from pathlib import Path
from tests.publishing.test_checkpoint import put
from weightgen.publishing import checkpoint

folder, force, exchange = Path(sys.argv[1]), sys.argv[2] == "force", sys.argv[3] == "exchange"
if not exchange:
    checkpoint.renameat2 = lambda *_: False

def count_down(owner, name, left):
    plain = getattr(owner, name)
    def wrapped(*args, **kwargs):
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return plain(*args, **kwargs)
    setattr(owner, name, wrapped)

for step in range(1, 1000):
    target = folder / str(step) / "vit"
    target.parent.mkdir()
    if force:
        put(target, "old")
    child = os.fork()
    if child == 0:
        left = [step]
        for name in ("open", "mkdir", "rename", "unlink", "rmdir", "fsync"):
            count_down(os, name, left)
        count_down(builtins, "open", left)
        count_down(checkpoint, "renameat2", left)
        put(target, "new", force)
        os._exit(7)
    status = os.waitpid(child, 0)[1]
    if os.WIFEXITED(status):
        sys.exit(os.WEXITSTATUS(status))
"""


@pytest.mark.parametrize("rename", ["exchange", "two-renames"])
@pytest.mark.parametrize("force", ["fresh", "force"])
def test_kill_9_at_every_step_leaves_old_or_new_complete(tmp_path: Path, force: str, rename: str) -> None:
    done = subprocess.run([sys.executable, "-c", KILLER, str(tmp_path), force, rename], capture_output=True, text=True)
    assert done.returncode == 7, done.stderr
    steps = sorted(tmp_path.iterdir(), key=lambda p: int(p.name))
    outcomes = []
    for folder in steps:
        target = folder / "vit"
        left = {name for name in os.listdir(folder) if name != "vit"}
        checkpoint.recover(target)
        outcomes.append(state(target) if target.exists() else "nothing" if force == "fresh" else "lost")
        put(target, "next", force=True)
        assert state(target) == "next"
        assert os.listdir(folder) == ["vit"], left
    before, after = ("nothing", "new") if force == "fresh" else ("old", "new")
    assert set(outcomes) == {before, after}
    assert outcomes == sorted(outcomes, key=lambda o: o == after)  # one switch, never back
    assert outcomes.count(before) >= 15


def test_recovery_needs_no_publish(tmp_path: Path) -> None:
    with publish(tmp_path / "vit") as staged:
        save_file({"w": np.zeros(2)}, staged.path / "model.safetensors")
    for read in (verify, open_weights):
        os.rename(tmp_path / "vit", tmp_path / f".vit.replaced-{DEAD}-0")
        read(tmp_path / "vit")
        assert os.listdir(tmp_path) == ["vit"]


def test_publish_recovers_before_it_looks_at_the_target(tmp_path: Path) -> None:
    put(tmp_path / "vit", "one")
    os.rename(tmp_path / "vit", tmp_path / f".vit.replaced-{DEAD}-0")
    with pytest.raises(UsageError, match="already exists"):
        put(tmp_path / "vit", "two")
    assert os.listdir(tmp_path) == ["vit"]
    assert (tmp_path / "vit" / "model.safetensors").read_text() == "one"


def test_directories_of_living_processes_are_left_alone(tmp_path: Path) -> None:
    locked = tmp_path / f".vit.partial-{DEAD}-0"
    mine = tmp_path / f".vit.partial-{os.getpid()}-0"
    moving = tmp_path / f".vit.replaced-{os.getpid()}-0"
    stale = tmp_path / f".vit.partial-{DEAD}-1"
    other = tmp_path / f".vit2.partial-{DEAD}-1"
    odd = tmp_path / ".vit.partial-notes"
    for path in (locked, mine, moving, stale, other, odd):
        path.mkdir()
    descriptor = os.open(locked, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        put(tmp_path / "vit", "one")
    finally:
        os.close(descriptor)
    kept = {"vit", locked.name, mine.name, moving.name, other.name, odd.name}
    assert set(os.listdir(tmp_path)) == kept


def test_the_staging_directory_is_locked_while_it_is_written(tmp_path: Path) -> None:
    with publish(tmp_path / "vit") as staged:
        descriptor = os.open(staged.path, os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(descriptor)
        assert f"-{os.getpid()}." in staged.path.name
        assert staged.path.parent == tmp_path
