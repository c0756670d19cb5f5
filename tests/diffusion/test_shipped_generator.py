"""The shipped generator: whole, small, made by its recipe, and as good as the benchmark says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from tests.conftest import Command
from weightgen.diffusion.domain import domain
from weightgen.diffusion.examples import Edited
from weightgen.diffusion.loading import load_generator
from weightgen.diffusion.photos import bundled
from weightgen.diffusion.quality import psnr
from weightgen.jobs.table import load_recipe
from weightgen.models.translator import TranslatorConfig, translate
from weightgen.publishing.manifest import check

ROOT = Path(__file__).parents[2]
GENERATOR = ROOT / "checkpoints" / "generator"

pytestmark = pytest.mark.usefixtures("one_thread")


def test_it_is_whole_and_small_and_made_by_its_recipe() -> None:
    manifest = check(GENERATOR)
    assert sum((GENERATOR / file).stat().st_size for file in manifest["files"]) < 8 * 2**20
    recipe = load_recipe(ROOT / "recipes" / "generator.yaml").model_copy(update={"out": None})
    assert manifest["recipe_hash"] == recipe.hash
    card = (GENERATOR / "README.md").read_text()
    for row in ("nearest", "film", "own network, converged", "base, trained longer", "subspace, wrong prompt"):
        assert f"| {row} |" in card, row
    assert "CC BY 2.0" in card


@pytest.mark.parametrize("split", ["strength", "composition"])
def test_it_does_what_the_benchmark_says(split: str) -> None:
    table = json.loads((ROOT / "benchmarks" / "generator" / "step0.json").read_text())
    said = table["subspace, snapped"][split]["psnr"][0]  # of the first seed, which is shipped
    concepts = [c for c in domain() if c.split == split][:3]
    pipeline = load_generator(GENERATOR)
    noise = torch.Generator().manual_seed(0)
    made = pipeline([c.captions[0] for c in concepts], steps=1, generator=noise)
    config = TranslatorConfig.model_validate(dict(pipeline.base.config.architecture))
    tensors = {name: torch.stack([d[name] for d in made.state_dicts]) for name in config.shapes}
    examples = Edited(bundled(), concepts)
    photos = examples.test(16, 64)
    with torch.no_grad():
        outputs = translate(config, tensors, photos["images"], photos["positions"]).clamp(0, 1)
    found = psnr(outputs, examples.targets(photos))
    assert found.tolist() == pytest.approx(said[:3], abs=0.02)


def test_a_prompt_becomes_a_start_that_edits_a_photo(command: Command, tmp_path: Path) -> None:
    words = ("generate", "faded vintage film, strength 0.6", "--generator", str(GENERATOR), "--threads", "1")
    assert command(*words, "--out", "start").code == 0
    Image.new("RGB", (40, 30), (200, 30, 90)).save(tmp_path / "photo.png")
    assert command("apply", "start", "photo.png", "--out", "edited.png").code == 0
    red, green, blue = Image.open(tmp_path / "edited.png").convert("RGB").getpixel((20, 15))  # type: ignore[misc]
    assert red - green < 170 - 10  # paler than it was
    assert max(red, green, blue) > 120
