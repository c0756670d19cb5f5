"""Training a generator from end to end at tiny sizes: what it learns, that it repeats, and what is refused."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from tests.conftest import Command
from tests.diffusion.tiny_generator import save_encoder
from weightgen.diffusion.asking import phrases_of
from weightgen.diffusion.from_recipe import make_generator, open_networks
from weightgen.diffusion.generator import Generator
from weightgen.diffusion.learning import DenoisingTask, GeneratorTask
from weightgen.diffusion.loading import load_generator
from weightgen.diffusion.phrases import PhraseBook
from weightgen.diffusion.schedules import last_timestep
from weightgen.diffusion.text import load_encoder
from weightgen.jobs.collect import collect
from weightgen.recipe import CollectRecipe, TrainGeneratorRecipe, make_recipe
from weightgen.training.loop import train
from weightgen.training.settings import settings_of

COLLECT = {"width": 4, "layers": 2, "steps": 8, "base_steps": 2, "batch_size": 2, "base_batch_size": 2, "crop": 8}
COLLECT |= {"train": 6, "held_out": 1, "block_size": 32, "threads": 1, "workers": 1}
SMALL = ("--width", "16", "--depth", "1", "--crops", "2", "--crop", "12", "--batch-size", "3", "--threads", "1")

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("zoo") / "weights"
    collect(make_recipe(CollectRecipe, COLLECT), out)
    return out


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_encoder(tmp_path_factory.mktemp("encoder"))


def words(
    zoo: Path, encoder: Path, *more: str, out: str = "generator", steps: int = 4, first: int = 2
) -> tuple[str, ...]:
    where = ("train-generator", str(zoo), "--encoder", str(encoder), "--out", out)
    return (*where, "--steps", str(steps), "--first", str(first), *SMALL, *more)


@pytest.mark.parametrize("denoiser", ["subspace", "joint", "per-block", "film"])
def test_from_a_weights_dataset_to_an_edited_photo(
    zoo: Path, encoder: Path, command: Command, tmp_path: Path, denoiser: str
) -> None:
    outcome = command(*words(zoo, encoder, "--denoiser", denoiser), "--json")
    assert outcome.code == 0, outcome.err
    told = json.loads(outcome.out)
    assert told["concepts"] == 5  # of six, one is watched
    assert 0 < told["PSNR"] < 60
    manifest = json.loads((tmp_path / "generator" / "manifest.json").read_text())
    assert list(manifest["curve"]) == ["0", "1", "2", "3", "4"]
    assert manifest["evidence"]["value"] == told["PSNR"]
    assert not (tmp_path / "generator.training").exists()
    card = (tmp_path / "generator" / "README.md").read_text()
    assert f"**{told['PSNR']:.2f} dB**" in card
    assert "fails on: anaglyph" in card or "fails on: solarise" in card or "fails on: " in card
    assert command("verify", "generator").code == 0
    made = command("generate", "sepia tone", "--generator", "generator", "--out", "start", "--threads", "1")
    assert made.code == 0, made.err
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(tmp_path / "photo.png")
    assert command("apply", "start", "photo.png", "--out", "edited.png").code == 0


def test_the_same_recipe_gives_the_same_bytes(zoo: Path, encoder: Path, command: Command, tmp_path: Path) -> None:
    for out in ("one", "two"):
        assert command(*words(zoo, encoder, out=out)).code == 0
    files = [tmp_path / out / "denoiser" / "diffusion_pytorch_model.safetensors" for out in ("one", "two")]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert command(*words(zoo, encoder, "--seed", "1", out="three")).code == 0
    other = tmp_path / "three" / "denoiser" / "diffusion_pytorch_model.safetensors"
    assert other.read_bytes() != files[0].read_bytes()


def learner(zoo: Path, encoder: Path, **changes: Any) -> tuple[Generator, DenoisingTask, TrainGeneratorRecipe]:
    small = {
        "denoiser": "joint",
        "width": 32,
        "depth": 2,
        "denoising": 1,
        "crops": 4,
        "crop": 16,
        "batch_size": 5,
        "empty": 0.0,
        "mixed": 0.0,
        "data": str(zoo),
    }
    recipe = make_recipe(TrainGeneratorRecipe, {**small, **changes})
    networks, encode = open_networks(zoo), load_encoder(str(encoder))
    phrases = phrases_of(networks.data.concepts)
    book = PhraseBook.of(phrases, str(encoder), encode.embed(phrases))
    return (*make_generator(recipe, networks, book), recipe)


def losses(model: Generator, task: DenoisingTask, turn: int = 0) -> float:
    """The mean loss over ten batches; with a `turn`, each concept is asked for by another one's prompt."""
    batches = [task.batch("train", [0, 1, 2, 3, 4], [k, k + 1, k + 2, k + 3, k + 4]) for k in range(0, 50, 5)]
    for batch in batches:
        batch |= {name: batch[name].roll(turn, 0) for name in ("embeddings", "strengths", "mask")}
    with torch.no_grad():
        return float(np.mean([float(task.loss(task.forward(model, b), b)) for b in batches]))


@pytest.mark.parametrize("denoiser", ["subspace", "joint", "film"])
def test_running_the_networks_teaches_what_prompts_mean(zoo: Path, encoder: Path, denoiser: str) -> None:
    model, task, recipe = learner(
        zoo, encoder, denoiser=denoiser, denoising=0, running=1, steps=100, lr=1e-2, ema=0, fresh=0, warmup=0
    )
    before = losses(model, task)
    train(model, task, settings_of(recipe, recipe.lr, ()))
    assert losses(model, task) < before - 0.2  # of logarithms: less than 0.82 of the squared error
    assert losses(model, task, turn=1) > losses(model, task) + 0.1


def test_denoising_reaches_the_collected_weights(zoo: Path, encoder: Path) -> None:
    model, task, recipe = learner(zoo, encoder, running=0, steps=150, lr=1e-2, ema=0, warmup=0)
    assert not isinstance(task, GeneratorTask)
    before = losses(model, task)
    train(model, task, settings_of(recipe, recipe.lr, ()))
    assert losses(model, task) < 0.5 * before


def test_the_two_errors_are_weighted_and_what_was_not_collected_has_one(zoo: Path, encoder: Path) -> None:
    model, task, _ = learner(zoo, encoder, denoising=2, running=3, fresh=0.5)
    assert isinstance(task, GeneratorTask)
    batch = task.batch("train", [0, 1, 2, 3, 4], [5, 6, 7, 8, 9])
    collected = batch["collected"]
    assert 0 < int(collected.sum()) < 5
    assert bool((batch["timesteps"][~collected] == last_timestep(task.scheduler)).all())
    with torch.no_grad():
        made = model(batch)
    squares = (made["clean"] - batch["clean"]).square()[collected][:, task.layout.mask]
    errors = [float((m - t).square().mean()) for m, t in zip(made["made"], batch["targets"], strict=True)]
    running = np.mean([math.log(error + 1e-5) for error in errors])
    assert float(task.loss(made, batch)) == pytest.approx(float(2 * squares.mean()) + 3 * running, rel=1e-5)


@pytest.mark.parametrize("snap", [True, False])
def test_a_generator_says_whether_it_snaps(
    zoo: Path, encoder: Path, command: Command, tmp_path: Path, snap: bool
) -> None:
    assert command(*words(zoo, encoder, *(["--snap"] if snap else []))).code == 0
    assert load_generator(tmp_path / "generator").config.snap is snap


def test_steps_of_denoising_come_first(zoo: Path, encoder: Path, command: Command, tmp_path: Path) -> None:
    for first in (0, 2, 40):
        assert command(*words(zoo, encoder, "--lr", "1e-2", out=str(first), first=first)).code == 0
    curves = [json.loads((tmp_path / out / "manifest.json").read_text())["curve"] for out in ("0", "2", "40")]
    assert len({curve["0"] for curve in curves}) == 3  # the second phase begins where the first ended


def test_fewer_concepts_are_the_first_of_all(zoo: Path, encoder: Path, command: Command) -> None:
    every, some = open_networks(zoo), open_networks(zoo, 3)
    assert some.which["train"] == every.which["train"][:3]
    assert some.which["validation"] == every.which["validation"]
    outcome = command(*words(zoo, encoder, "--limit", "3"), "--json")
    assert json.loads(outcome.out)["concepts"] == 3


def test_without_the_error_of_blocks_all_steps_begin_with_noise(zoo: Path, encoder: Path) -> None:
    for weight, only in ((0, True), (1, False)):
        _, task, _ = learner(zoo, encoder, denoising=weight, fresh=0, mixed=0)
        batches = [task.batch("train", [0, 1, 2, 3, 4], range(k, k + 5)) for k in range(0, 20, 5)]
        last = torch.cat([batch["timesteps"] for batch in batches]) == last_timestep(task.scheduler)
        assert bool(last.all()) is only


def test_what_no_generator_can_learn_from_is_refused(
    zoo: Path, encoder: Path, command: Command, tmp_path: Path
) -> None:
    command("train-generator", str(zoo)).refused(2, "where to? Add --out DIR")
    command(*words(tmp_path / "no", encoder)).refused(2, "no weights dataset here", "weightgen collect")
    command(*words(zoo, tmp_path / "no")).refused(3, "no: no such directory")
    (tmp_path / "checkpoints").mkdir()
    for i in range(3):
        save_file({"w": torch.randn(4, 4)}, tmp_path / "checkpoints" / f"{i}.safetensors")
        (tmp_path / "checkpoints" / f"{i}.txt").write_text(f"number {i}")
    assert command("collect", "--from-checkpoints", "checkpoints", "--block-size", "8", "--out", "found").code == 0
    command(*words(tmp_path / "found", encoder)).refused(2, "only denoised: add --running 0")
    assert command(*words(tmp_path / "found", encoder, "--running", "0")).code == 0
    pipeline = load_generator(tmp_path / "generator")
    assert load_file(tmp_path / "generator" / "base" / "diffusion_pytorch_model.safetensors")["w"].shape == (4, 4)
    assert pipeline("number 1").state_dicts[0]["w"].shape == (4, 4)
