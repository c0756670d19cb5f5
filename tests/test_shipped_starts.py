"""The starts for fields that the project ships: whole, small, and as good as the README says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import Command
from weightgen.checkpoint import verify
from weightgen.files import in_package
from weightgen.inr.start import CONFIG, load_start

SHIPPED = Path(__file__).parent.parent / "checkpoints"
STARTS = [d for d in sorted(SHIPPED.iterdir()) if "weightgen-inr-start" in (d / CONFIG).read_text()]
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
    assert "CC BY-SA" in (directory / "README.md").read_text()  # the licence of what it was learned from
    recipe = (SHIPPED.parent / "recipes" / f"{directory.name}.yaml").read_text()
    assert f"out: checkpoints/{directory.name}" in recipe


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
