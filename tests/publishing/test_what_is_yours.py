"""What weightgen did not write is never removed or replaced, whatever it is called and wherever it lies."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.conftest import SMALL_LLAMA, Command
from weightgen.errors import UsageError
from weightgen.publishing.checkpoint import check_target, publish
from weightgen.publishing.destination import refuse_overlap
from weightgen.publishing.leftovers import owner_is_alive, sibling
from weightgen.publishing.work_directory import MARK, refuse_foreign, remove_work, work_directory

PRECIOUS = "precious"


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """A small checkpoint."""
    with publish(tmp_path / "vit") as staged:
        (staged.path / "model.safetensors").write_text("weights")
        (staged.path / "data").mkdir()
        (staged.path / "data" / "part").write_text("more")
    return tmp_path / "vit"


def yours(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(PRECIOUS)
    return path


# Directories for work in progress


def test_a_folder_of_yours_is_no_work_directory(tmp_path: Path) -> None:
    thesis = yours(tmp_path / "out.training" / "thesis.tex")
    with pytest.raises(UsageError, match=r"holds what weightgen did not put there \('thesis.tex'\)"):
        refuse_foreign(tmp_path / "out.training")
    with pytest.raises(UsageError, match="did not put there"), work_directory(tmp_path / "out.training"):
        raise AssertionError
    remove_work(tmp_path / "out.training")
    assert thesis.read_text() == PRECIOUS
    assert os.listdir(thesis.parent) == ["thesis.tex"]


def test_a_file_of_that_name_is_no_work_directory(tmp_path: Path) -> None:
    thesis = yours(tmp_path / "out.training")
    with pytest.raises(UsageError, match="is no directory"), work_directory(thesis):
        raise AssertionError
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="is no directory"):
        refuse_foreign(tmp_path / "link")
    assert thesis.read_text() == PRECIOUS


def test_ours_is_known_again_and_an_empty_one_is_taken(tmp_path: Path) -> None:
    work = tmp_path / "out.training"
    work.mkdir()
    with work_directory(work):
        (work / "state").write_text("half-way")
    with work_directory(work):
        assert (work / "state").read_text() == "half-way"
    remove_work(work)
    assert not work.exists()
    with work_directory(work):
        assert (work / MARK).exists()
    assert not work.exists()  # nothing came of it


@pytest.mark.parametrize(
    ("suffix", "words"),
    [
        ("training", ("train", "--task", "classify", "--data", "digits", "--model", "timm:test_vit", "--steps", "1")),
        ("training", ("metalearn", "pictures", "--field-args", "hidden=4,hidden_layers=1", "--steps", "1")),
        ("collecting", ("collect", "--train", "1", "--held-out", "0", "--steps", "1", "--base-steps", "1")),
    ],
)
def test_commands_refuse_it(command: Command, tmp_path: Path, suffix: str, words: tuple[str, ...]) -> None:
    from tests.inr.small_start import write

    write(tmp_path / "pictures", range(12))
    thesis = yours(tmp_path / f"out.{suffix}" / "thesis.tex")
    command(*words, "--out", "out").refused(2, "thesis.tex", "choose another --out")
    assert thesis.read_text() == PRECIOUS


# --force


@pytest.mark.parametrize(
    "name", ["notes.txt", ".hidden", "data/notes.txt", "deep/er/notes.txt", ".git/config", ".cache/x"]
)
def test_force_refuses_where_anything_of_yours_lies(published: Path, name: str) -> None:
    notes = yours(published / name)
    with pytest.raises(UsageError, match="which weightgen did not put there"):
        check_target(published, force=True)
    with pytest.raises(UsageError, match="replaces nothing else"), publish(published, force=True):
        raise AssertionError
    assert notes.read_text() == PRECIOUS
    assert (published / "model.safetensors").read_text() == "weights"


def test_force_names_one_and_counts_the_others(published: Path) -> None:
    yours(published / "a")
    yours(published / "b")
    (published / "empty").mkdir()
    (published / "link").symlink_to(published / "data")
    with pytest.raises(UsageError, match="holds 'empty' and 3 more"):
        check_target(published, force=True)


def test_what_appears_while_it_is_written_is_kept(published: Path) -> None:
    def write() -> None:
        with publish(published, force=True) as staged:
            (staged.path / "model.safetensors").write_text("new")
            yours(published / "notes")

    with pytest.raises(UsageError, match="did not put there"):
        write()
    assert (published / "notes").read_text() == PRECIOUS


@pytest.mark.parametrize("text", ['{"schema": 1, "files": {}}', '{"schema": 1, "files": {}, "created_by": "make"}'])
def test_a_manifest_of_another_program_makes_no_checkpoint(tmp_path: Path, text: str) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "manifest.json").write_text(text)
    with pytest.raises(UsageError, match="its manifest is not weightgen's"):
        check_target(tmp_path / "mine", force=True)


def test_force_replaces_what_is_ours_alone(published: Path) -> None:
    with publish(published, force=True) as staged:
        (staged.path / "model.safetensors").write_text("new")
    assert (published / "model.safetensors").read_text() == "new"


# The source


def test_the_source_by_any_path(tmp_path: Path) -> None:
    source = tmp_path / "vit"
    (source / "inner").mkdir(parents=True)
    (tmp_path / "link").symlink_to(source)
    weights = yours(source / "weights")
    for out in (
        source,
        tmp_path / "link",
        tmp_path / "x" / ".." / "vit",
        source / "new",
        tmp_path / "link" / "inner" / "new",
    ):
        with pytest.raises(UsageError, match=r"is what it would be made from|lies in"):
            refuse_overlap(out, [source])
    for out in (source, tmp_path, tmp_path / "link"):
        with pytest.raises(UsageError, match=r"is or holds|is what"):
            refuse_overlap(out, [weights])
        with pytest.raises(UsageError, match="is or holds"):
            refuse_overlap(out, [], [source])
    refuse_overlap(source / "new", [None, tmp_path / "gone"], [source])
    refuse_overlap(tmp_path / "other", [source, weights])


def test_commands_refuse_their_source(command: Command, llama: Path, tmp_path: Path) -> None:
    shutil.copytree(llama, tmp_path / "plain")
    (tmp_path / "link").symlink_to("start")
    assert command("subclone", "--src", "plain", *SMALL_LLAMA, "--out", "start").code == 0
    before = {p.name: p.read_bytes() for p in (tmp_path / "start").iterdir()}
    cut = ("subclone", "--src", "./start", "--dst", "same", "--dst-args", "num_hidden_layers=1", "--force", "--out")
    learn = ("train", "--task", "causal", "--data", "plain", "--start", "start", "--steps", "1", "--force", "--out")
    for words in (
        (*cut, "start"),
        (*cut, "link"),
        (*cut, "start/small"),
        ("subclone", "--src", "plain", "--dst", "./start", "--force", "--out", "start"),
        ("prune", "start", "--score", "magnitude", "--out", "start", "--force"),
        ("average", "./start", "./start", "--out", "start", "--force"),
        ("init", "--model", "./start", "--method", "zero", "--out", "link", "--force"),
        (*learn, "start"),
        ("diagnose", "start", "--out", "start", "--force"),
    ):
        command(*words).refused(2, "Choose another")
    assert {p.name: p.read_bytes() for p in (tmp_path / "start").iterdir()} == before


# Dead runs


def test_a_process_of_the_same_number_is_another_one(tmp_path: Path) -> None:
    mine = sibling(tmp_path / "vit", "partial")
    assert owner_is_alive(mine)
    number, born = mine.name.rsplit("-", 2)[1].split(".")
    assert int(number) == os.getpid()
    other = mine.with_name(mine.name.replace(f"{number}.{born}", f"{number}.{int(born) - 1}"))
    assert not owner_is_alive(other)
    other.mkdir()
    yours(other / "half a file")
    with publish(tmp_path / "vit"):
        pass
    assert not other.exists()
