"""Races from end to end on scikit-learn's digits: what is fair, what is kept, what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import Command
from weightgen.compare.results import read_results
from weightgen.publishing.manifest import check
from weightgen.recipe import make_recipe

SIZES = "img_size=8,patch_size=4,in_chans=1,num_classes=10,embed_dim=24,depth=2,num_heads=3"
MODEL = ("--model", "timm:vit_tiny_patch16_224", "--model-args", SIZES)
COMPARE = ("compare", "--task", "classify", "--batch-size", "16", "--marks", "4", "--threads", "1")
RACE = (*COMPARE, "--steps", "6", "--lr-trials", "1", "--workers", "1")


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that weightgen trained for a moment."""
    import weightgen
    from weightgen.recipe import TrainRecipe

    directory = tmp_path_factory.mktemp("starts") / "start"
    arguments = dict(word.split("=") for word in SIZES.split(","))
    recipe = {"task": "classify", "model": MODEL[1], "steps": 4, "batch_size": 16, "threads": 1}
    recipe["model_args"] = {k: int(v) for k, v in arguments.items()}
    weightgen.run_recipe(make_recipe(TrainRecipe, recipe), directory)
    return directory


@pytest.fixture(autouse=True)
def _threads() -> Any:
    import torch

    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def times(out: Path) -> dict[str, int]:
    return {str(p): p.stat().st_mtime_ns for p in out.rglob("result.json")}


def test_a_race_and_what_it_leaves(command: Command, start: Path, tmp_path: Path) -> None:
    words = [*COMPARE, "--steps", "6", "--seeds", "2", "--lr-trials", "2", "--workers", "1", "--out", "race"]
    for text in (f"ours={start}", "random", f"shuffled:{start}", f"stats:{start}", "scratch-flops"):
        words += ["--start", text]
    outcome = command(*words)
    assert outcome.code == 0, outcome.err
    assert "report: race/report.html" in outcome.out
    assert max(map(len, outcome.out.splitlines())) <= 80
    results = read_results(tmp_path / "race")
    assert [s["name"] for s in results["starts"]][:2] == ["ours", "random"]
    assert results["baseline"] == "random"
    ours, random, shuffled, stats, longer = results["starts"]
    assert ours["lineage"]["stage"] == "train"
    assert ours["flops_making"] == 4 * ours["flops_per_step"]
    assert longer["curve"]["steps"][-1] == 6 + 4
    assert random["curve"]["steps"][-1] == 6
    assert random["flops_per_step"] == ours["flops_per_step"] > 0
    for entry in results["starts"]:
        assert len(entry["trials"]) == 2
        assert 0 in entry["curve"]["steps"]
    # A checkpoint starts the same way whatever the seed; random weights and both controls do not.
    assert len({seed[0] for seed in ours["curve"]["seeds"]}) == 1
    assert all(len({tuple(s) for s in e["curve"]["seeds"]}) == 2 for e in (random, shuffled, stats))
    check(tmp_path / "race" / "runs" / "01-ours" / "seed-1")
    assert not list((tmp_path / "race").rglob("*.training"))

    before = times(tmp_path / "race")
    again = command(*words)
    assert again.code == 0, again.err
    assert times(tmp_path / "race") == before, "a finished run was repeated"
    assert read_results(tmp_path / "race") == results

    same = command("run", tmp_path / "race" / "recipe.yaml", "--out", "second")
    assert same.code == 0, same.err
    second = read_results(tmp_path / "second")
    for one, other in zip(results["starts"], second["starts"], strict=True):
        assert one["curve"] == other["curve"], "the same recipe gave other numbers"

    changed = command(*words, "--weight-decay", "0.2")
    changed.refused(2, "holds another race", "weight_decay: 0.05 then, 0.2 now", "choose another --out")


def test_controls_keep_distributions_and_drop_knowledge(start: Path) -> None:
    import torch

    from weightgen.starts.agreement import architecture_of
    from weightgen.starts.start import parse_start

    one, shuffled, stats = (parse_start(t) for t in (str(start), f"shuffled:{start}", f"stats:{start}"))
    architecture = architecture_of([one], None, {})
    kept = one.model(architecture, 0).state_dict()
    for name, value in shuffled.model(architecture, 0).state_dict().items():
        assert torch.equal(value.flatten().sort()[0], kept[name].flatten().sort()[0])
    found = stats.model(architecture, 0).state_dict()["blocks.0.mlp.fc1.weight"]
    expected = kept["blocks.0.mlp.fc1.weight"]
    assert not torch.equal(found, expected)
    assert abs(float(found.std() / expected.std()) - 1) < 0.1


def test_requirements_decide_the_exit_code(command: Command, start: Path) -> None:
    words = (*RACE, "--seeds", "1", "--start", str(start), "--start", "random", "--out", "race")
    assert command(*words, "--require", "final>=2").code == 1
    met = command(*words, "--require", "random:final>=0")
    assert met.code == 0
    assert "wanted >= 0: met" in met.out
    command(*words, "--require", "speed>=2").refused(2, "unknown measure 'speed'", "Did you mean 'speedup'?")


def test_evidence_goes_into_the_card(command: Command, start: Path, tmp_path: Path) -> None:
    import shutil

    own = shutil.copytree(start, tmp_path / "own")
    words = (*RACE, "--seeds", "1", "--start", str(own), "--start", "random", "--out", "race", "--card")
    assert command(*words).code == 0
    assert command(*words).code == 0
    card = (own / "README.md").read_text()
    assert card.count("## Evidence") == 1
    assert "Trained by weightgen" in card
    assert check(own)["stage"] == "train"


def test_what_does_not_fit_is_refused(command: Command, start: Path, llama: Path, tmp_path: Path) -> None:
    race = (*RACE, "--out", "race")
    both = ("--start", "random", "--start")
    command(*race, "--start", str(start), "--start", f"ours={start}").refused(2, "add --start random")
    command(*race, *both, "random").refused(2, "two starts are called 'random'", "other=random")
    command(*race, *both, "nowhere").refused(2, "'nowhere' is no start")
    command(*race, *both, "scratch-flops").refused(2, "add --model NAME")
    command(*race, *both, "shuffled").refused(2, "of which checkpoint?")
    command(*race, *both, str(start), "--start", str(llama)).refused(2, "is of another architecture", "'cls_token'")
    command(*race, "--start", "random").refused(2, "--start")
    command("compare", "--task", "sing", "--start", "random", *both, "x").refused(2, "--task")
    command(*race, *both, str(start), "--data", "nowhere").refused(2, "no such directory")
    small = SIZES.replace("num_classes=10", "num_classes=3")
    few = (*both, "other=random", "--model", MODEL[1], "--model-args", small)
    command(*race, *few).refused(2, "the data have 10 classes, the model 3 outputs", "num_classes=10")
    colour = tmp_path / "colour"
    for split in ("train", "test"):
        for label in "ab":
            _save_images(colour / split / label, (8, 8, 3))
    command(*race, *both, str(start), "--data", "colour").refused(2, "colour images, the model takes 1 channel")
    outcome = command(*race, *both, "other=random", "--model", "bert-tiny")
    outcome.refused(2, "takes no images")


def _save_images(folder: Path, shape: tuple[int, ...]) -> None:
    from PIL import Image

    folder.mkdir(parents=True)
    for i in range(6):
        values = np.random.default_rng(i).integers(0, 256, shape).astype(np.uint8)
        Image.fromarray(values).save(folder / f"{i}.png")


def test_broken_data(command: Command, tmp_path: Path) -> None:
    words = (*RACE, "--start", "random", "--start", "b=random", *MODEL, "--out", "race", "--data")
    (tmp_path / "empty").mkdir()
    command(*words, "empty").refused(3, "no usable images")
    idx = tmp_path / "idx"
    idx.mkdir()
    images, labels = b"\0\0\x08\x03" + b"\0\0\0\x05" * 3 + bytes(125), b"\0\0\x08\x01\0\0\0\x05" + bytes(5)
    for name in ("train", "t10k"):
        (idx / f"{name}-images-idx3-ubyte").write_bytes(images)
        (idx / f"{name}-labels-idx1-ubyte").write_bytes(labels)
    (idx / "t10k-labels-idx1-ubyte").unlink()
    command(*words, "idx").refused(3, "t10k-labels-idx1-ubyte: no such file")
    (idx / "t10k-labels-idx1-ubyte").write_bytes(b"hello")
    command(*words, "idx").refused(3, "not an IDX file of bytes")
    (idx / "t10k-labels-idx1-ubyte").write_bytes(labels)
    (idx / "train-images-idx3-ubyte").write_bytes(images[:-1])
    command(*words, "idx").refused(3, "expected 5 x 5 x 5 values, found 124")
    _save_images(tmp_path / "broken" / "train" / "a", (8, 8))
    _save_images(tmp_path / "broken" / "train" / "b", (8, 8))
    (tmp_path / "broken" / "train" / "b" / "3.png").write_bytes(b"not an image")
    command(*words, "broken").refused(3, "3.png: is no image that can be read")


def test_strange_output_directories(command: Command, start: Path, tmp_path: Path) -> None:
    from weightgen.publishing.work_directory import hold

    words = (*RACE, "--seeds", "1", "--start", str(start), "--start", "random", "--out", "race")
    (tmp_path / "race").mkdir()
    (tmp_path / "race" / "thesis.txt").write_text("mine")
    command(*words).refused(2, "holds no race ('thesis.txt' is there)")
    (tmp_path / "race" / "thesis.txt").unlink()
    with hold(tmp_path / "race"):
        command(*words).refused(2, "another weightgen process is at work there")


def test_a_start_that_always_diverges_is_told(command: Command, start: Path) -> None:
    words = (*RACE, "--start", str(start), "--start", "random", "--out", "race", "--lr", "1e30")
    outcome = command(*words)
    assert outcome.code == 1
    assert "the loss was not finite with any learning rate tried (1e+30)" in outcome.err
    assert "Traceback" not in outcome.err
