"""Files that are written together: all of them, or none."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from weightgen.errors import InputError, UsageError
from weightgen.publishing.files import write_file, write_files


def full_from(calls: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the disk be full from so many files on."""
    plain, left = os.fsync, [calls]

    def sync(descriptor: int) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        plain(descriptor)

    monkeypatch.setattr(os, "fsync", sync)


def test_a_full_disk_leaves_a_directory_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_files(tmp_path / "report", {"a": b"old", "b": b"old"})
    full_from(1, monkeypatch)
    with pytest.raises(InputError, match="needed 3 bytes to write b"):
        write_files(tmp_path / "report", {"a": b"new", "b": b"new"})
    assert {p.name: p.read_bytes() for p in (tmp_path / "report").iterdir()} == {"a": b"old", "b": b"old"}
    with pytest.raises(InputError, match="no space left"):
        write_files(tmp_path / "other", {"a": b"new"})
    assert not (tmp_path / "other").exists()


def test_what_else_is_there_stays(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("precious")
    write_files(tmp_path, {"a": b"1", "b": b"2"})
    write_file(tmp_path / "a", b"3")
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"notes": b"precious", "a": b"3", "b": b"2"}


def test_a_directory_of_that_name_is_refused_before_any_is_written(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    with pytest.raises(UsageError, match="is no regular file"):
        write_files(tmp_path, {"a": b"1", "b": b"2"})
    assert [p.name for p in tmp_path.iterdir()] == ["b"]
