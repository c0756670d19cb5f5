"""The starts for fields that the project ships: whole, small, and as good as the README says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import trimesh
from PIL import Image

from tests.conftest import Command
from tests.inr.balls import ANGLE, around, write_scene
from weightgen.inr.card import start_card
from weightgen.inr.start import CONFIG, load_start
from weightgen.jobs.table import load_recipe
from weightgen.publishing.checkpoint import verify
from weightgen.reading.files import in_package
from weightgen.recipe import MetalearnRecipe

SHIPPED = Path(__file__).parents[2] / "checkpoints"
STARTS = [f.parent for f in sorted(SHIPPED.glob(f"*/{CONFIG}")) if "weightgen-inr-start" in f.read_text()]
LICENCES = {
    "photos": "CC BY-SA 4.0",
    "photos-deep": "CC BY-SA 4.0",
    "ct-slices": "CC BY-SA 4.0",
    "digits-spoken": "CC BY-SA 4.0",
    "shapes": "zlib licence",
    "views": "zlib licence",
}
MAX_BYTES = 1 << 20

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("directory", STARTS, ids=lambda d: d.name)
def test_a_shipped_start_is_whole_and_small(directory: Path) -> None:
    manifest = verify(directory)
    assert manifest["stage"] == "metalearn"
    assert sum(f.stat().st_size for f in directory.iterdir()) < MAX_BYTES
    start = load_start(directory)
    assert sum(p.numel() for p in start.field.parameters()) <= 200_000
    assert start.recommended
    assert LICENCES[directory.name] in (directory / "README.md").read_text()  # of what it was learned from
    recipe = load_recipe(directory / "recipe.yaml")
    assert isinstance(recipe, MetalearnRecipe)
    ours = load_recipe(SHIPPED.parent / "recipes" / f"{directory.name}.yaml")
    assert ours.out == f"checkpoints/{directory.name}"
    assert ours.model_copy(update={"out": None}) == recipe
    card = (directory / "README.md").read_text()
    assert card == start_card(recipe, start, manifest["evidence"], directory.name).text(recipe, directory.name)
    assert ("From 50 steps on: on 3 of them" in card) == (max(start.recommended) >= 50)


def test_photos_fit_a_picture_that_nobody_learned_from(command: Command, tmp_path: Path) -> None:
    with Image.open(in_package("skimage/data/astronaut.png")) as image:
        image.crop((150, 30, 278, 158)).save(tmp_path / "face.png")
    outcome = command("fit", SHIPPED / "photos", "face.png", "--steps", "2", "--render", "out.png", "--json")
    assert outcome.code == 0, outcome.err
    (signal,) = json.loads(outcome.out)["signals"]
    words = ("fit", SHIPPED / "photos", "face.png", "--steps", "2", "--optimizer", "adam", "--rate", "1e-4", "--json")
    (plain,) = json.loads(command(*words).out)["signals"]
    assert signal["score"] > 20  # dB
    assert signal["score"] > plain["score"] + 3


def test_shapes_fit_a_mesh_that_nobody_learned_from(command: Command, tmp_path: Path) -> None:
    mesh = trimesh.creation.torus(1.0, 0.4).apply_scale([1.0, 1.4, 1.2])
    mesh.export(tmp_path / "ring.obj")
    words = ("fit", SHIPPED / "shapes", "ring.obj", "--signal-args", "points=8000", "--json")
    outcome = command(*words, "--steps", "10", "--render", "out.ply", "--render-size", "32")
    assert outcome.code == 0, outcome.err
    (signal,) = json.loads(outcome.out)["signals"]
    (plain,) = json.loads(command(*words, "--steps", "10", "--optimizer", "adam", "--rate", "1e-4").out)["signals"]
    assert signal["score"] > 0.5  # IoU
    assert signal["score"] > plain["score"] + 0.1
    assert trimesh.load_mesh(tmp_path / "out.ply").is_watertight


def test_views_fit_a_scene_that_nobody_learned_from(command: Command, tmp_path: Path) -> None:
    write_scene(tmp_path / "balls", around(12), height=16, width=16)
    words = ("fit", SHIPPED / "views", "balls", "--steps", "10", "--json")
    outcome = command(*words, "--render", "out.png", "--out", "fits")
    assert outcome.code == 0, outcome.err
    (signal,) = json.loads(outcome.out)["signals"]
    drawn = json.loads((tmp_path / "fits" / "config.json").read_text())["signal"]
    assert (drawn["angle"], drawn["pose"]) == (ANGLE, around(12)[0].tolist())  # from where this scene was seen
    (plain,) = json.loads(command(*words, "--optimizer", "adam", "--rate", "1e-3").out)["signals"]
    assert signal["score"] > plain["score"] + 3  # dB
