"""A checkpoint is there whole or not at all: failures, full disks, kill -9 at every step, and hostile manifests."""

from __future__ import annotations

import ctypes
import errno
import hashlib
import os
import shutil
from pathlib import Path

import pytest

from weightgen.errors import UsageError
from weightgen.publishing import checkpoint
from weightgen.publishing.checkpoint import publish, verify


def put(target: Path, text: str, force: bool = False) -> None:
    with publish(target, force) as staged:
        (staged.path / "model.safetensors").write_text(text)
        (staged.path / "sub").mkdir()
        (staged.path / "sub" / "config.json").write_text(text * 2)
        staged.manifest.update(seed=text)


def state(target: Path) -> str:
    """Return the text that a complete checkpoint was published with."""
    assert verify(target)["seed"] == (target / "model.safetensors").read_text()
    return str(verify(target)["seed"])


@pytest.fixture(params=["exchange", "two-renames"])
def any_rename(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "two-renames":
        monkeypatch.setattr(checkpoint, "renameat2", lambda *_: False)


@pytest.mark.usefixtures("any_rename")
def test_publish_and_replace(tmp_path: Path) -> None:
    target = tmp_path / "new" / "vit"
    put(target, "one")
    found = verify(target)
    assert found["files"]["sub/config.json"] == {"size": 6, "sha256": hashlib.sha256(b"oneone").hexdigest()}
    assert (found["schema"], found["seed"]) == (1, "one")
    assert found["created_by"].startswith("weightgen ")
    put(target, "two", force=True)
    assert state(target) == "two"
    assert os.listdir(target.parent) == ["vit"]


def test_the_exchange_is_used_where_the_system_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "vit", "one")
    if not checkpoint.renameat2(tmp_path / "vit", tmp_path / "other", checkpoint.RENAME_NOREPLACE):
        pytest.skip("this file system cannot exchange directories")
    monkeypatch.setattr(os, "rename", lambda *_: pytest.fail("a rename that leaves a gap"))
    put(tmp_path / "other", "two", force=True)
    assert state(tmp_path / "other") == "two"


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, None])
def test_two_renames_are_used_where_the_system_cannot_exchange(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int | None
) -> None:
    class Library:
        def __getattr__(self, name: str) -> object:
            if code is None:
                raise AttributeError(name)
            return lambda *_: min(ctypes.set_errno(code), -1)

    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: Library())
    put(tmp_path / "vit", "one")
    put(tmp_path / "vit", "two", force=True)
    assert state(tmp_path / "vit") == "two"


def test_a_rename_that_fails_puts_the_old_checkpoint_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "vit", "one")
    plain = os.rename

    def rename(source: Path, target: Path) -> None:
        if ".partial-" in source.name:
            raise OSError(errno.EIO, "broken disk")
        plain(source, target)

    monkeypatch.setattr(checkpoint, "renameat2", lambda *_: False)
    monkeypatch.setattr(os, "rename", rename)
    for target, force in (("vit", True), ("new", False)):
        with pytest.raises(OSError, match="broken disk"):
            put(tmp_path / target, "two", force)
    assert state(tmp_path / "vit") == "one"
    assert os.listdir(tmp_path) == ["vit"]


@pytest.mark.usefixtures("any_rename")
def test_an_old_checkpoint_is_not_recoverable_while_it_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "vit", "one")
    removed: list[str] = []
    monkeypatch.setattr(shutil, "rmtree", lambda path, **_: removed.append(path.name))
    put(tmp_path / "vit", "two", force=True)
    assert removed
    assert all(".partial-" in name for name in removed)


def test_an_existing_target_is_refused_before_any_work(tmp_path: Path) -> None:
    put(tmp_path / "vit", "one")
    with pytest.raises(UsageError, match=r"already exists.*--force") as caught, publish(tmp_path / "vit"):
        pytest.fail("work was done")
    assert caught.value.exit_code == 2
    assert state(tmp_path / "vit") == "one"


@pytest.mark.parametrize("name", ["notes.txt", "manifest.json"])
def test_force_replaces_nothing_but_checkpoints(tmp_path: Path, name: str) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / name).write_text("{}")
    with pytest.raises(UsageError, match="is not a weightgen checkpoint"), publish(tmp_path / "thesis", force=True):
        pytest.fail("work was done")
    assert (tmp_path / "thesis" / name).read_text() == "{}"


def test_force_does_not_replace_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UsageError, match="is not a weightgen checkpoint"), publish(tmp_path / "file", force=True):
        pytest.fail("work was done")
    assert (tmp_path / "file").read_text() == "mine"


def test_force_fills_an_empty_directory_and_follows_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    put(tmp_path / "link", "one", force=True)
    assert state(tmp_path / "real") == "one"
    assert (tmp_path / "link").is_symlink()


@pytest.mark.usefixtures("any_rename")
@pytest.mark.parametrize("force", [False, True])
def test_a_target_that_appears_meanwhile_is_not_lost(tmp_path: Path, force: bool) -> None:
    def write() -> None:
        with publish(tmp_path / "vit", force):
            (tmp_path / "vit").mkdir()
            (tmp_path / "vit" / "theirs").write_text("x")

    with pytest.raises(UsageError, match="--force"):
        write()
    assert os.listdir(tmp_path) == ["vit"]
    assert (tmp_path / "vit" / "theirs").read_text() == "x"


@pytest.mark.usefixtures("any_rename")
def test_a_target_that_appears_at_the_last_moment_is_not_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "vit"
    put(target, "theirs")
    with monkeypatch.context() as patch:
        plain = os.path.lexists
        patch.setattr(os.path, "lexists", lambda path: path != target and plain(path))
        with pytest.raises(UsageError, match="appeared while its files were written"):
            put(target, "mine")
    assert state(target) == "theirs"
    assert os.listdir(tmp_path) == ["vit"]
