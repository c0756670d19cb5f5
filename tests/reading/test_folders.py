"""What is data in a user's folder: hidden files are none, and what is left out is counted, once."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.conftest import Command
from weightgen.console import SILENT, remarks_to
from weightgen.diffusion.photos import photos_in
from weightgen.errors import Remark
from weightgen.inr.signals import make_kind
from weightgen.reading.folders import data_files, visible
from weightgen.tasks.images import load_images
from weightgen.tasks.texts import load_texts
from weightgen.training.workers import _begin_worker

HIDDEN = (".hidden.png", "._a.png", ".git/b.png", "__MACOSX/a.png", "__MACOSX/in/._b.png", "in/.thumbnails/c.png")
COLLECT = ("collect", "--photos", "photos", "--train", "1", "--held-out", "1", "--width", "4", "--layers", "2")
TINY = ("--steps", "1", "--base-steps", "0", "--batch-size", "2", "--crop", "8", "--threads", "1", "--workers", "1")


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


def draw(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.effect_noise((12, 12), 80).convert("RGB").save(folder / name)
    return folder


def found(folder: Path, *suffixes: str, **options: Any) -> list[str]:
    return [str(file.relative_to(folder)) for file in data_files(folder, suffixes or (".png",), **options)]


def test_hidden_files_are_neither_data_nor_left_out(tmp_path: Path) -> None:
    touch(tmp_path, "b.png", "a.PNG", "in/c.png", "in/deeper/macosx/d.png", *HIDDEN, ".DS_Store", "in/.notes.txt")
    assert found(tmp_path) == ["a.PNG", "b.png", "in/c.png", "in/deeper/macosx/d.png"]
    assert found(tmp_path, deep=False) == ["a.PNG", "b.png"]
    assert found(tmp_path, ".gif") == []
    assert not any(visible(tmp_path / name, tmp_path) for name in HIDDEN)
    inside = tmp_path / ".git"
    assert found(inside) == ["b.png"]  # a folder that the user names may be called anything
    assert found(tmp_path / "__MACOSX") == ["a.png"]


def test_what_is_no_file_is_no_data(tmp_path: Path) -> None:
    touch(tmp_path, "a.png")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe.png")
    assert found(tmp_path) == ["a.png"]


@pytest.mark.parametrize(
    ("names", "options", "expected"),
    [
        (["a.png", "b.png", "x.txt"], {}, "2 files are read, 1 other file is left out (1 .txt)"),
        (["a.png", "x.txt", "y.txt", "z.gif"], {}, "1 file is read, 3 other files are left out (2 .txt, 1 .gif)"),
        (["a.png", "README"], {}, "1 file is read, 1 other file is left out (1 without a suffix)"),
        (["a.png", "in/x.TXT", "y.txt"], {}, "1 file is read, 2 other files are left out (2 .txt)"),
        (["a.png", "x.txt", "in/y.txt"], {"deep": False}, "1 file is read, 1 other file is left out (1 .txt)"),
        (["a.png", "t.json", "x.txt"], {"beside": (".json",)}, "1 file is read, 1 other file is left out (1 .txt)"),
        (["a.png", *(f"x.{c}" for c in "bcdef")], {}, "5 other files are left out (1 .b, 1 .c, 1 .d, 1 .e, ...)"),
        (["a.png", "x.\x1b[2J\u202e"], {}, r"1 other file is left out (1 .\x1b[2j\u202e)"),
    ],
)
def test_what_is_left_out_is_counted(tmp_path: Path, names: list[str], options: dict[str, Any], expected: str) -> None:
    touch(tmp_path, *names, ".DS_Store")
    with pytest.warns(Remark) as remarks:
        assert found(tmp_path, **options)[0] == "a.png"
    (remark,) = remarks
    assert str(remark.message).startswith(f"{tmp_path}: ")
    assert str(remark.message).endswith(expected)


@pytest.mark.parametrize("names", [["a.png"], ["x.txt"], [], ["a.png", "t.json", ".x.txt"]])
def test_where_nothing_is_left_out_nothing_is_said(tmp_path: Path, names: list[str]) -> None:
    touch(tmp_path, *names)
    found(tmp_path, beside=(".json",))  # a warning would be an error here


def write_texts(folder: Path) -> None:
    folder.mkdir()
    (folder / "a.txt").write_text("words\n")


READERS: dict[str, tuple[Callable[[Path], object], Callable[[Path], object]]] = {
    "photos": (lambda f: draw(f, "a.png", "b.png"), photos_in),
    "signals": (lambda f: draw(f, "a.png", "in/b.png"), lambda f: make_kind("image", {"crop": 8}).load(str(f))),
    "classes": (lambda f: draw(f, "train/x/a.png", "train/y/b.png", "test/x/c.png"), lambda f: load_images(str(f))),
    "texts": (write_texts, lambda f: load_texts(str(f))),
}


@pytest.mark.parametrize("reader", READERS)
def test_every_reader_of_folders_says_it(tmp_path: Path, reader: str) -> None:
    write, read = READERS[reader]
    folder = tmp_path / "data"
    write(folder)
    read(folder)
    touch(folder, "movie.mov", ".hidden", "__MACOSX/a.png")
    with pytest.warns(Remark, match=r"data: .* read, 1 other file is left out \(1 \.mov\)"):
        read(folder)


def test_at_the_command_line_it_is_a_note_and_comes_once(command: Command, tmp_path: Path) -> None:
    draw(tmp_path / "photos", "a.png", "b.png", "c.png")
    touch(tmp_path / "photos", "notes.txt", ".DS_Store")
    note = "note: photos: 3 files are read, 1 other file is left out (1 .txt)"
    outcome = command(*COLLECT, *TINY, "--out", "one")
    assert outcome.code == 0, outcome.err
    assert outcome.err.splitlines().count(note) == 1
    assert outcome.err.count("left out") == 1
    assert "note:" not in outcome.out
    # With other seeds, since one process reads what it knows no second time.
    quiet = command(*COLLECT, *TINY, "--seed", "1", "--out", "two", "--quiet")
    assert (quiet.code, quiet.err) == (0, "")
    told = command(*COLLECT, *TINY, "--seed", "2", "--out", "three", "--json")
    assert (told.err, json.loads(told.out)["directory"]) == ("", "three")
    assert command(*COLLECT, *TINY, "--seed", "3", "--out", "four").err.count(note) == 1


class Heard:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    warn, progress = SILENT.warn, SILENT.progress


def test_each_remark_is_noted_once_and_other_warnings_go_their_way() -> None:
    heard = Heard()
    with warnings.catch_warnings(record=True) as others:
        warnings.simplefilter("always")
        with remarks_to(heard):
            for text in ("one", "two", "one"):
                warnings.warn(text, Remark, stacklevel=1)
            warnings.warn("another", UserWarning, stacklevel=1)
    assert heard.notes == ["note: one", "note: two"]
    assert [str(o.message) for o in others] == ["another"]
    with pytest.warns(Remark):  # as before
        warnings.warn("three", Remark, stacklevel=1)


def test_workers_do_not_repeat_what_their_parent_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("weightgen.training.workers._follow", lambda parent: None)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        _begin_worker(None, os.getpid())
        warnings.warn("one", Remark, stacklevel=1)
        warnings.warn("two", UserWarning, stacklevel=1)
    assert [str(w.message) for w in said] == ["two"]
