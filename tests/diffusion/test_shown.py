"""A weights dataset knows where the pictures are that show its concepts, and whether they still are what they were."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Command, Outcome
from tests.diffusion.collected import TRAIN, collected, copied, draw, draw_concepts, republish
from tests.diffusion.tiny_generator import save_encoder

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with `concepts`, and `weights` collected from them by a relative path."""
    place = tmp_path_factory.mktemp("made")
    draw_concepts(place / "concepts")
    collected(place, concepts="concepts")
    return place


@pytest.fixture
def project(made: Path, tmp_path: Path) -> Path:
    """A copy of it, free to be changed."""
    return copied(made, tmp_path / "project")


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_encoder(tmp_path_factory.mktemp("encoder"))


def train(command: Command, encoder: Path, data: str | Path, *more: str | Path) -> Outcome:
    """Train from the test's own directory, or from where it has gone to."""
    return command("train-generator", data, "--encoder", encoder, *TRAIN, *more, "--out", "generator")


def test_it_trains_from_another_directory(command: Command, encoder: Path, project: Path) -> None:
    """The tests' own directory is the one above: `concepts` is not there."""
    told = json.loads((project / "weights" / "manifest.json").read_text())["examples"]
    assert told["path"] == "../concepts"
    outcome = train(command, encoder, "project/weights")
    assert outcome.code == 0, outcome.err


def test_it_moves_with_its_pictures(command: Command, encoder: Path, project: Path, tmp_path: Path) -> None:
    project.rename(tmp_path / "moved")
    assert train(command, encoder, "moved/weights").code == 0


@pytest.mark.parametrize("source", ["concepts", "photos"])
def test_every_way_to_say_where_pictures_are(
    command: Command, encoder: Path, tmp_path: Path, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw_concepts(tmp_path / "concepts")
    for i in range(2):
        draw(tmp_path / "photos" / f"{i}.png", i)
    (tmp_path / "link").symlink_to(tmp_path / source)
    options = {source: "~/link", **({"train": 2, "held_out": 1} if source == "photos" else {})}
    monkeypatch.setenv("HOME", str(tmp_path))
    # Into the pictures' own folder, which is deeper than the current one.
    data = collected(tmp_path, f"{source}/.kept/weights" if source == "concepts" else "photos/weights", **options)
    monkeypatch.setenv("HOME", "/nowhere")
    (data.parent / "here").mkdir()
    monkeypatch.chdir(data.parent / "here")
    outcome = train(command, encoder, "../weights")
    assert outcome.code == 0, outcome.err


def note(project: Path) -> None:
    (project / "concepts" / "a" / "notes.md").write_text("what I did")
    (project / "concepts" / ".DS_Store").write_bytes(b"x")
    (project / "concepts" / "a" / "before" / "._0.png").write_bytes(b"x")


def test_what_shows_nothing_may_change(command: Command, encoder: Path, project: Path) -> None:
    note(project)
    assert train(command, encoder, "project/weights").code == 0


def caption(project: Path) -> None:
    (project / "concepts" / "a" / "prompt.txt").write_text("pencil sketch")


def picture(project: Path) -> None:
    draw(project / "concepts" / "a" / "after" / "0.png", 99)


def exchanged(project: Path) -> None:
    after = project / "concepts" / "a" / "after"
    (after / "0.png").rename(after / "x.png")
    (after / "1.png").rename(after / "0.png")
    (after / "x.png").rename(after / "1.png")


def another(project: Path) -> None:
    for side in ("before", "after"):
        draw(project / "concepts" / "a" / side / "2.png", 7)


def fewer(project: Path) -> None:
    for side in ("before", "after"):
        (project / "concepts" / "a" / side / "1.png").unlink()


@pytest.mark.parametrize("change", [caption, picture, exchanged, another, fewer])
def test_pictures_that_changed_are_refused(command: Command, encoder: Path, project: Path, change: Any) -> None:
    change(project)
    outcome = train(command, encoder, "project/weights")
    outcome.refused(
        3, "project/concepts: are not the concepts that project/weights was collected from", "--examples DIR"
    )


def test_pictures_that_moved_are_named(command: Command, encoder: Path, project: Path, tmp_path: Path) -> None:
    (project / "concepts").rename(tmp_path / "elsewhere")
    outcome = train(command, encoder, "project/weights")
    outcome.refused(3, f"project/weights: its concepts are not at {project}/concepts", "--examples DIR")
    assert train(command, encoder, "project/weights", "--examples", "elsewhere").code == 0
    shutil.rmtree(tmp_path / "generator")
    train(command, encoder, "project/weights", "--examples", "nowhere").refused(2, "nowhere: no such directory")
    (tmp_path / "elsewhere" / "c").rename(tmp_path / "c")
    (tmp_path / "elsewhere").rename(tmp_path / "without-c")  # since one process reads what it knows no second time
    outcome = train(command, encoder, "project/weights", "--examples", "without-c")
    outcome.refused(3, "nothing shows its concept 'c'")


def test_examples_that_the_user_names_are_compared_with_nothing(command: Command, encoder: Path, project: Path) -> None:
    picture(project)
    assert train(command, encoder, "project/weights", "--examples", "project/concepts").code == 0


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"path": "../concepts", "sha256": "0" * 64}, "are not the concepts that"),
        ({"path": "../../secret", "sha256": "0" * 64}, "secret: are not the concepts that"),
        ({"path": "..", "sha256": "0" * 64}, "are not the concepts that"),
        ({"path": "a\0b", "sha256": "0" * 64}, r"its concepts are not at "),
        ({"path": "\x1b[2J", "sha256": "0" * 64}, r"weights/\x1b[2J."),
        ({"path": "../concepts"}, "expected a path and a sha256 for examples in its manifest"),
        ({"path": "../concepts", "sha256": None}, "expected a path and a sha256"),
        ({"path": ["../concepts"], "sha256": "0" * 64}, "expected a path and a sha256"),
        ({}, "expected a path and a sha256"),
        ([], "expected a path and a sha256"),
        ("../concepts", "expected a path and a sha256"),
        (7, "expected a path and a sha256"),
    ],
)
def test_entries_that_lie_are_refused(
    command: Command, encoder: Path, project: Path, tmp_path: Path, told: Any, expected: str
) -> None:
    draw_concepts(tmp_path / "secret")
    republish(project / "weights", examples=told)
    train(command, encoder, "project/weights").refused(3, expected)


def test_a_dataset_of_before_it_was_recorded(command: Command, encoder: Path, project: Path, tmp_path: Path) -> None:
    republish(project / "weights", examples=None)
    train(command, encoder, "project/weights").refused(3, "its concepts are not at concepts", "--examples DIR")
    draw_concepts(tmp_path / "concepts")
    assert train(command, encoder, "project/weights").code == 0


def test_a_recipe_that_lies(command: Command, encoder: Path, project: Path) -> None:
    recipe = project / "weights" / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("concepts: concepts", "concepts: /etc"))
    republish(project / "weights", examples={"path": "nowhere", "sha256": "0" * 64})
    train(command, encoder, "project/weights").refused(3, "/etc: are not the concepts that")
