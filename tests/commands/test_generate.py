"""`weightgen generate`: the start that it publishes, warnings, a choice by pairs, and what it refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from tests.conftest import Command
from tests.diffusion.tiny_generator import CONFIG, make_base, make_pipeline, save_encoder
from weightgen.diffusion.applying import translated
from weightgen.diffusion.loading import load_generator
from weightgen.diffusion.photos import pixels_of
from weightgen.diffusion.translator import load_translator
from weightgen.models.translator import Translator
from weightgen.publishing.checkpoint import publish
from weightgen.publishing.manifest import read_manifest

pytestmark = pytest.mark.usefixtures("one_thread")
PROMPT = "strong sepia tone, then soft blur at 40 %"
GENERATE = ("generate", PROMPT, "--generator", "generator", "--threads", "1")


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="module")
def made(encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("made") / "generator"
    with publish(directory) as staged:
        make_pipeline(encoder, steps=2, guidance=1.5).save_pretrained(staged.path)
    return directory


@pytest.fixture
def generator(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "generator"))


def photo(seed: int, height: int = 24, width: int = 30) -> Image.Image:
    small = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height))


def save_pairs(directory: Path, network: Translator, count: int = 2) -> None:
    """Pairs that one network makes exactly, to rounding."""
    for folder in ("before", "after"):
        (directory / folder).mkdir(parents=True)
    for i in range(count):
        photo(i).save(directory / "before" / f"{i}.png")
        after = (255 * translated(network, pixels_of(photo(i)))).round().byte().permute(1, 2, 0).numpy()
        Image.fromarray(after).save(directory / "after" / f"{i}.png")


def test_a_start_is_published(generator: Path, command: Command, tmp_path: Path) -> None:
    outcome = command(*GENERATE, "--out", "start", "--seed", "3")
    assert outcome.code == 0, outcome.err
    assert "sepia tone, strength 1; soft blur, strength 0.4" in outcome.out
    assert "weightgen apply start photo.png" in outcome.out
    assert outcome.err == ""
    assert command("verify", "start").code == 0
    start = tmp_path / "start"
    pipeline = load_generator(generator)
    [expected] = pipeline(PROMPT, generator=torch.Generator().manual_seed(3)).state_dicts
    found = load_file(start / "model.safetensors")
    assert found.keys() == expected.keys() == CONFIG.shapes.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
    assert load_translator(start).config == CONFIG
    manifest = read_manifest(start)
    told = {key: manifest[key] for key in ("stage", "prompt", "seed", "sample", "base", "threads")}
    assert told == {
        "stage": "generate", "prompt": PROMPT, "seed": 3, "sample": 0, "base": make_base().sha256, "threads": 1
    }  # fmt: skip
    assert manifest["generator"] == {"name": "generator", "sha256": pipeline.sha256}
    assert [(c["phrase"], c["strength"], c["far"]) for c in manifest["concept"]] == [
        ("sepia tone", 1.0, False),
        ("soft blur", 0.4, False),
    ]
    assert next(iter(manifest["concept"][0]["nearest"])) == "sepia tone"


def test_the_recipe_makes_it_again_and_flags_change_it(generator: Path, command: Command, tmp_path: Path) -> None:
    assert command(*GENERATE, "--out", "first").code == 0
    weights = (tmp_path / "first" / "model.safetensors").read_bytes()
    assert command("run", "first/recipe.yaml", "--out", "again").code == 0
    assert (tmp_path / "again" / "model.safetensors").read_bytes() == weights
    for i, flags in enumerate((("--seed", "1"), ("--steps", "1"), ("--guidance", "1"))):
        assert command(*GENERATE, *flags, "--out", f"other-{i}").code == 0
        assert (tmp_path / f"other-{i}" / "model.safetensors").read_bytes() != weights, flags
    printed = command(*GENERATE, "--steps", "4", "--print-recipe")
    assert "stage: generate" in printed.out
    assert "steps: 4" in printed.out
    command(*GENERATE, "--out", "first").refused(2, "already exists", "--force")


def test_the_card_runs_without_weightgen(generator: Path, command: Command, tmp_path: Path) -> None:
    assert command(*GENERATE, "--out", "start").code == 0
    card = (tmp_path / "start" / "README.md").read_text()
    assert PROMPT in card
    code = card.split("```python\n")[1].split("```")[0]
    assert "weightgen" not in code
    assert len(code.splitlines()) < 25
    names: dict[str, Any] = {}
    exec(code, names)  # in the directory that holds the start
    photos = torch.stack([pixels_of(photo(0)), pixels_of(photo(1))])
    with torch.no_grad():
        expected = load_translator(tmp_path / "start")(photos)
    assert torch.allclose(names["edit"](photos), expected, atol=1e-5)


def test_the_best_sample_on_the_users_pairs_is_taken(generator: Path, command: Command, tmp_path: Path) -> None:
    noise = torch.Generator().manual_seed(0)
    networks = load_generator(generator)(PROMPT, samples=4, generator=noise, reread=True).state_dicts
    wanted = Translator(CONFIG)
    wanted.load_state_dict(networks[2])
    save_pairs(tmp_path / "mine", wanted)
    outcome = command(*GENERATE, "--samples", "4", "--pairs", "mine", "--out", "start", "--json")
    assert outcome.code == 0, outcome.err
    said = json.loads(outcome.out)
    assert said["sample"] == 2
    assert said["errors"][2] < 1 / 255 < min(e for i, e in enumerate(said["errors"]) if i != 2)
    found = load_file(tmp_path / "start" / "model.safetensors")
    assert all(torch.allclose(found[n], t, atol=1e-6) for n, t in networks[2].items())
    assert read_manifest(tmp_path / "start")["sample"] == 2
    spoken = command(*GENERATE, "--samples", "2", "--pairs", "mine", "--out", "second")
    assert "of 2: mean absolute error" in spoken.out


def test_a_prompt_far_from_all_that_was_trained_is_said(tmp_path: Path, command: Command) -> None:
    from weightgen.diffusion.text import load_encoder

    make_pipeline(load_encoder()).save_pretrained(tmp_path / "minilm")  # which knows how far words are apart
    words = ("generate", "sepia toning and zombie student", "--generator", "minilm", "--out", "start", "--threads", "1")
    outcome = command(*words, "--quiet")
    assert outcome.code == 0, outcome.err
    [line] = outcome.err.splitlines()
    assert line.startswith("warning: 'zombie student' is unlike anything the generator was trained on. Nearest: '")
    assert "**unlike anything the generator was trained on**" in (tmp_path / "start" / "README.md").read_text()
    assert [c["far"] for c in read_manifest(tmp_path / "start")["concept"]] == [False, True]
    told = json.loads(command(*words, "--force", "--json").out)
    assert told["concept"][1]["far"] is True


def test_what_a_phrase_was_read_as_is_said(tmp_path: Path, command: Command) -> None:
    from weightgen.diffusion.text import load_encoder

    make_pipeline(load_encoder()).save_pretrained(tmp_path / "minilm")
    words = ("generate", "sepia toning and zombie student", "--generator", "minilm", "--threads", "1")
    said = command(*words, "--out", "snapped", "--snap").out
    nearest = next(iter(read_manifest(tmp_path / "snapped")["concept"][0]["nearest"]))
    assert f": sepia toning (read as '{nearest}'), strength 0.7; zombie student, strength 0.7" in said
    assert [c["snapped"] for c in read_manifest(tmp_path / "snapped")["concept"]] == [True, False]
    assert "the first of these stood for it" in (tmp_path / "snapped" / "README.md").read_text()
    assert "read as" not in command(*words, "--out", "plain").out
    assert "read as" not in command("generate", nearest, *words[2:], "--out", "same", "--snap").out
    # The second sample has another reading, so what the first was read as is not said of it.
    noise = torch.Generator().manual_seed(0)
    made = load_generator(tmp_path / "minilm")(words[1], samples=2, generator=noise, reread=True, snap=True)
    wanted = Translator(CONFIG)
    wanted.load_state_dict(made.state_dicts[1])
    save_pairs(tmp_path / "mine", wanted)
    second = command(*words, "--out", "second", "--snap", "--samples", "2", "--pairs", "mine").out
    assert "sample 1 of 2" in second
    assert "read as" not in second
