"""What a publication that fails leaves behind: the old checkpoint, and nothing else."""

from __future__ import annotations

import errno
import os
import resource
import signal
from pathlib import Path

import pytest

from tests.publishing.test_checkpoint import put, state
from weightgen.errors import CheckError, InputError, UsageError
from weightgen.publishing import checkpoint
from weightgen.publishing.checkpoint import publish


def fail_inside(target: Path, error: BaseException, needed: int = 0) -> None:
    with publish(target, force=True, needed=needed) as staged:
        (staged.path / "model.safetensors").write_bytes(b"123")
        raise error


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt(), SystemExit(), OSError(errno.EIO, "x")])
def test_a_failure_leaves_the_old_checkpoint_and_nothing_else(tmp_path: Path, error: BaseException) -> None:
    put(tmp_path / "vit", "one")
    with pytest.raises(type(error)) as caught:
        fail_inside(tmp_path / "vit", error)
    assert caught.value is error
    assert state(tmp_path / "vit") == "one"
    assert os.listdir(tmp_path) == ["vit"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_an_input_error(tmp_path: Path, code: int) -> None:
    put(tmp_path / "vit", "one")
    with pytest.raises(
        InputError, match=r"no space left on .*: writing model\.safetensors failed \(x\): needed 70 bytes, \d+ are free"
    ) as caught:
        fail_inside(tmp_path / "vit", OSError(code, "x"), needed=70)
    assert caught.value.exit_code == 3
    assert state(tmp_path / "vit") == "one"
    assert os.listdir(tmp_path) == ["vit"]


def test_too_little_space_is_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"needed {1 << 60} bytes"), publish(tmp_path / "vit", needed=1 << 60):
        pytest.fail("work was done")
    assert os.listdir(tmp_path) == []


def test_a_real_write_limit_leaves_the_old_checkpoint(tmp_path: Path) -> None:
    put(tmp_path / "vit", "one")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(InputError, match="no space left on"):
            put(tmp_path / "vit", "x" * 5000, force=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert state(tmp_path / "vit") == "one"
    assert os.listdir(tmp_path) == ["vit"]


def test_files_that_change_after_the_manifest_are_not_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = checkpoint.write_manifest

    def write_and_spoil(staging: Path, extra: dict[str, object]) -> None:
        plain(staging, extra)
        (staging / "model.safetensors").write_text("bad")

    put(tmp_path / "vit", "one")
    monkeypatch.setattr(checkpoint, "write_manifest", write_and_spoil)
    with pytest.raises(CheckError, match=r"changed: model\.safetensors"):
        put(tmp_path / "vit", "two", force=True)
    assert state(tmp_path / "vit") == "one"


def test_everything_is_on_disk_before_the_rename_and_the_manifest_is_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    plain_sync, plain_rename = os.fsync, checkpoint.renameat2

    def sync(descriptor: int) -> None:
        plain_sync(descriptor)
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        events.append(path.replace(str(staged), "STAGING"))

    def rename(*arguments: object) -> bool:
        events.append("rename")
        return plain_rename(*arguments)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(checkpoint, "renameat2", rename)
    with publish(tmp_path / "vit") as stage:
        staged = stage.path
        (staged / "sub").mkdir()
        (staged / "sub" / "b").write_text("b")
        (staged / "a").write_text("a")
    files = ["STAGING/a", "STAGING/sub/b", "STAGING/manifest.json"]
    assert events == [*files, "STAGING/sub", "STAGING", "rename", str(tmp_path)]


def test_a_directory_that_cannot_be_written_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be created"), publish(tmp_path / "file" / "vit"):
        pytest.fail("work was done")
    with pytest.raises(UsageError, match="cannot be written to"), publish(tmp_path / ("x" * 250)):
        pytest.fail("work was done")
