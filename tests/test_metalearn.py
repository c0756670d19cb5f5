"""`weightgen metalearn`, `fit` and `render` from the command line, on small pictures."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from tests.conftest import Command
from weightgen.inr.config import FIELDS, field_config
from weightgen.inr.field import Field
from weightgen.inr.signals import make_kind
from weightgen.inr.snippet import snippet
from weightgen.inr.start import Start, load_start, save_start

pytestmark = pytest.mark.usefixtures("one_thread")
COMMON = ("metalearn", "pictures", "--signal-args", "crop=12", "--points", "0", "--tune", "2", "--threads", "1")
FIELD = ("--field", "siren", "--field-args", "hidden=24,hidden_layers=2,offset=0.5")
INNER = ("--inner-rate", "0.2", "--batch-size", "3")
SEARCH = ("--trials", "3", "--budget", "1", "--budget", "4")
LEARN = (*COMMON, *FIELD, *INNER, *SEARCH, "--steps", "30")


def blobs(seed: int, size: int = 12) -> np.ndarray:
    """A smooth random picture."""
    draws = np.random.default_rng(seed)
    rows, columns = np.meshgrid(np.linspace(0, 1, size), np.linspace(0, 1, size), indexing="ij")
    found = np.zeros((size, size, 3))
    for _ in range(3):
        y, x, width = draws.random(3)
        found += draws.random(3) * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (0.02 + width / 5))[..., None]
    return (found / found.max() * 255).astype(np.uint8)


def pixels(file: Path) -> np.ndarray:
    with Image.open(file) as image:
        return np.asarray(image) / 255


def write(folder: Path, seeds: range, size: int = 12) -> None:
    folder.mkdir(parents=True)
    for seed in seeds:
        Image.fromarray(blobs(seed, size)).save(folder / f"p{seed}.png")


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with `pictures` and a `start` learned from them."""
    from weightgen.metalearning import metalearn_one
    from weightgen.recipe import MetalearnRecipe

    where = tmp_path_factory.mktemp("inr")
    write(where / "pictures", range(12))
    arguments = {"hidden": 24, "hidden_layers": 2, "offset": 0.5}
    recipe = MetalearnRecipe(
        data=str(where / "pictures"), field="siren", inner_rate=0.2, batch_size=3,
        field_args=arguments, signal_args={"crop": 12}, steps=30, points=0, tune=2,
        trials=3, budget=[1, 4], threads=1,
    )  # fmt: skip
    metalearn_one(recipe, where / "start")
    return where


@pytest.fixture
def here(made: Path, tmp_path: Path) -> Path:
    """A copy that may be broken."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path


def test_a_start_is_learned_fitted_and_drawn(command: Command, tmp_path: Path) -> None:
    write(tmp_path / "pictures", range(12))
    outcome = command(*LEARN, "--out", "start", "--json")
    assert outcome.code == 0, outcome.err
    said = json.loads(outcome.out)
    assert said["signals"] == 1
    assert set(said["recommended"]) == {"1", "4"}
    assert not (tmp_path / "start.training").exists()
    assert command("verify", "start").code == 0
    modes = {f.stat().st_mode & 0o777 for f in (tmp_path / "start").iterdir()}
    assert len(modes) == 1  # whoever may read the config may read the weights
    curve = json.loads((tmp_path / "start" / "manifest.json").read_text())["curve"]
    assert curve["30"] > curve["0"] + 1  # dB
    write(tmp_path / "new", range(50, 53), 16)
    words = (
        "fit",
        "start",
        "new/p50.png",
        "--steps",
        "4",
        "--render",
        "out.png",
        "--curve",
        "curve.csv",
        "--out",
        "fits",
    )
    outcome = command(*words)
    assert outcome.code == 0, outcome.err
    assert "wrote out.png" in outcome.out
    rows = list(csv.DictReader((tmp_path / "curve.csv").read_text().splitlines()))
    assert [r["step"] for r in rows] == ["0", "1", "2", "3", "4"]
    assert float(rows[-1]["PSNR"]) > float(rows[0]["PSNR"]) + 3
    error = float(np.mean((pixels(tmp_path / "out.png") - pixels(tmp_path / "new" / "p50.png")) ** 2))
    assert -10 * np.log10(error) == pytest.approx(float(rows[-1]["PSNR"]), abs=0.5)  # clipped, rounded
    assert command("verify", "fits").code == 0
    assert command("render", "fits", "--out", "large.png", "--size", "32").code == 0
    assert pixels(tmp_path / "large.png").shape == (32, 32, 3)
    command("fit", "start", "new/p50.png", "--out", "fits").refused(2, "already exists")
    command(*LEARN, "--out", "start").refused(2, "already exists")
    command(*LEARN).refused(2, "Add --out DIR")


def test_many_signals_are_fitted_as_each_alone(command: Command, here: Path) -> None:
    write(here / "new", range(50, 53), 16)
    Image.fromarray(blobs(60, 20)).save(here / "new" / "wide.png")  # another size than the rest
    assert command("fit", "start", "new", "--steps", "4", "--out", "all", "--render", "drawn").code == 0
    assert sorted(p.name for p in (here / "drawn").iterdir()) == ["p50.png", "p51.png", "p52.png", "wide.png"]
    together = load_file(here / "all" / "model.safetensors")
    assert together["net.0.weight"].shape == (4, 24, 2)
    names = [s["name"] for s in json.loads((here / "all" / "config.json").read_text())["signals"]]
    assert command("fit", "start", "new", "--steps", "4", "--out", "each", "--separate").code == 0
    for name in names:
        one = load_file(here / "each" / name / "model.safetensors")
        for key, value in one.items():
            assert torch.allclose(value, together[key][names.index(name)], atol=1e-5), key
    assert command("verify", "each").code == 0
    command("render", "all", "--out", "x.png").refused(2, "which of 4 fits?")
    command("render", "all", "--out", "x.png", "--name", "nobody").refused(3, "no fit is called 'nobody'")
    assert command("render", "all", "--out", "x.png", "--name", "wide").code == 0
    assert pixels(here / "x.png").shape == (20, 20, 3)
    assert command("render", "each/p50", "--out", "y.png").code == 0
    command("fit", "start", "new", "--render", "one.png").refused(2, "4 signals need a folder")
    command("fit", "start", "new/p50.png", "--render", "drawn").refused(2, "is a folder")


@pytest.mark.parametrize("algorithm", ["fomaml", "reptile", "reptile-interpolation", "tinyreptile", "strainer"])
def test_every_algorithm_learns(command: Command, here: Path, algorithm: str) -> None:
    rates = {"reptile-interpolation": "0.5", "tinyreptile": "0.5", "strainer": "0.02"}
    inner = INNER
    if algorithm == "tinyreptile":
        inner = ("--inner-steps", "20", "--inner-rate", "0.02", "--batch-size", "1")
    words = (*COMMON, *FIELD, *inner, "--steps", "30", "--trials", "0", "--algorithm", algorithm)
    outcome = command(*words, "--lr", rates.get(algorithm, "0.02"), "--out", "other")
    assert outcome.code == 0, outcome.err
    manifest = json.loads((here / "other" / "manifest.json").read_text())
    assert manifest["curve"]["30"] > manifest["curve"]["0"] + 0.1
    assert load_start(here / "other").recommended == {}


@pytest.mark.parametrize("words", ["--init vi3nr", "--init winner", "--field wire", "--field fourier"])
def test_fields_and_initialisers(command: Command, here: Path, words: str) -> None:
    small = ("--field-args", "hidden=12,hidden_layers=2", "--steps", "2", "--trials", "0")
    outcome = command(*COMMON, *words.split(), *small, "--out", "other")
    assert outcome.code == 0, outcome.err
    plain, other = load_start(here / "other"), Field(load_start(here / "other").field.config, 0)
    assert any(not torch.equal(a, b) for a, b in zip(plain.field.parameters(), other.parameters(), strict=True))


def test_ctrl_c_and_on(command: Command, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from weightgen import training

    step = training._Loop._train_step

    def interrupting(self: Any, *arguments: Any) -> bool:
        if self.step == 7:
            os.kill(os.getpid(), signal.SIGINT)
        return step(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(training._Loop, "_train_step", interrupting)
        stopped = command(*LEARN, "--out", "again")
    assert stopped.code == 130
    assert "saved in again.training" in stopped.err
    assert not (here / "again").exists()
    assert command(*LEARN, "--out", "again").code == 0
    # The session's start was learned with the same settings in one go.
    assert (here / "again" / "model.safetensors").read_bytes() == (here / "start" / "model.safetensors").read_bytes()


@pytest.mark.parametrize("name", FIELDS)
def test_cards_say_how_to_evaluate_without_weightgen(name: str, tmp_path: Path) -> None:
    config = field_config(name, {"hidden": 6, "hidden_layers": 3, "offset": 0.25, "first_frequency": 7.0})
    start = Start(Field(config, 3), make_kind("image", {}))
    save_start(start, tmp_path)
    space: dict[str, Any] = {}
    exec(snippet(config, str(tmp_path)), space)
    points = torch.rand(5, 2) * 2 - 1
    assert torch.allclose(space["field"](points), start.field(points), atol=1e-6)


def test_the_card_of_a_start_runs(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = (made / "start" / "README.md").read_text()
    code = re.search(r"```python\n(.*?)```", card, re.S)
    assert code is not None
    monkeypatch.chdir(made)
    space: dict[str, Any] = {}
    exec(code[1], space)
    assert space["field"](torch.zeros(1, 2)).shape == (1, 3)
    assert "| 4 |" in card


def test_a_fit_that_diverges_keeps_its_best_step(command: Command, here: Path) -> None:
    words = ("fit", "start", "pictures/p1.png", "--optimizer", "sgd", "--rate", "1e12", "--steps", "9")
    outcome = command(*words, "--out", "fits", "--render", "out.png")
    assert outcome.code == 1
    assert "the loss became infinite; its best step was kept" in outcome.err
    kept, start = load_file(here / "fits" / "model.safetensors"), load_file(here / "start" / "model.safetensors")
    assert all(bool(torch.isfinite(t).all()) for t in kept.values())
    assert torch.equal(kept["net.0.weight"], start["net.0.weight"])  # no step was better than none


def test_the_best_step_is_kept(command: Command, here: Path) -> None:
    words = ("fit", "start", "pictures/p1.png", "--optimizer", "adam", "--rate", "1.0", "--steps", "5", "--json")
    found = json.loads(command(*words).out)
    none = json.loads(command("fit", "start", "pictures/p1.png", "--steps", "0", "--json").out)
    assert found["signals"][0]["score"] >= none["signals"][0]["score"]


def test_learning_that_diverges_keeps_what_was_learned(
    command: Command, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from weightgen import training

    step = training._Loop._train_step

    def breaking(self: Any, *arguments: Any) -> bool:
        found = step(self, *arguments)
        if self.step == 7:
            self.loss_sum = self.loss_sum * float("nan")
        return found

    monkeypatch.setattr(training._Loop, "_train_step", breaking)
    words = (*COMMON, *FIELD, *INNER, "--steps", "30", "--trials", "0")
    outcome = command(*words, "--save-every", "2", "--out", "other")
    assert outcome.code == 1
    assert "not finite at step 7: what was learned by step 6 is kept, published in other" in outcome.err
    assert command("verify", "other").code == 0
    assert load_start(here / "other").inner_steps == 2
    nothing = command(*words, "--save-every", "100", "--out", "nothing")
    assert nothing.code == 1
    assert "the loss was not finite at step 7" in nothing.err
    assert not (here / "nothing").exists()


def test_learning_that_ends_nowhere_is_not_published(command: Command, here: Path) -> None:
    words = (
        *COMMON,
        *FIELD,
        *INNER,
        "--steps",
        "3",
        "--trials",
        "0",
        "--warmup",
        "0",
        "--lr",
        "1e30",
        "--save-every",
        "1",
    )
    outcome = command(*words, "--out", "other")
    assert outcome.code == 1
    assert "Try a lower --lr" in outcome.err
    assert not (here / "other").exists()


def test_what_does_not_fit_together_is_refused(command: Command, here: Path) -> None:
    command("fit", "pictures", "pictures/p1.png").refused(2, "no start for fields here", "weightgen metalearn")
    command("fit", "start", "pictures/p1.png", "--rate", "0.1").refused(2, "--rate wants to know of which")
    command("fit", "start", "pictures/p1.png", "--optimizer", "adam").refused(2, "needs a --rate")
    command("fit", "start", "nothing.png").refused(2, "no such file")
    command("fit", "start", "pictures/p1.png", "--render", "out.xyz").refused(2, "out.xyz: cannot be written")
    command("metalearn", "pictures", "--field-args", "inputs=3", "--out", "x").refused(2, "maps 3 coordinates")
    command("metalearn", "pictures", "--field", "sirn", "--out", "x").refused(2, "Did you mean 'siren'")
    command("metalearn", "pictures", "--init", "winner", "--field", "gauss", "--out", "x").refused(2, "WINNER")
    write(here / "few", range(2))
    command("metalearn", "few", "--out", "x").refused(3, "expected at least 3 signals")


def test_broken_starts_are_refused(command: Command, here: Path) -> None:
    weights, config = here / "start" / "model.safetensors", here / "start" / "config.json"
    whole, words = weights.read_bytes(), config.read_text()
    fit = ("fit", "start", "pictures/p1.png")
    weights.write_bytes(whole[:-100])
    command(*fit).refused(3, "model.safetensors")
    weights.write_bytes(whole)
    tensors = load_file(weights)
    for change, text in (
        ({"net.0.bias": torch.zeros(3)}, "'net.0.bias' is [3], expected [24]"),
        ({"net.9.bias": torch.zeros(3)}, "has a tensor 'net.9.bias' that config.json does not know"),
        ({"net.0.bias": torch.full((24,), torch.nan)}, "has values that are not finite"),
        ({"net.0.bias": torch.zeros(24, dtype=torch.float16)}, "is F16, expected F32"),
    ):
        save_file({**tensors, **change}, weights)
        command(*fit).refused(3, text)
    save_file({n: t for n, t in tensors.items() if n != "net.1.weight"}, weights)
    command(*fit).refused(3, "has no tensor 'net.1.weight'")
    weights.write_bytes(whole)
    for old, new, text in (
        ('"activation": "sine"', '"activation": "sin"', "activation"),
        ('"kind": "image"', '"kind": "smell"', "unknown kind of signal 'smell'"),
        ('"channels": 3', '"channels": 2', "channels"),
        ('"format": "weightgen-inr-start"', '"format": "other"', "expected format weightgen-inr-start"),
        ('"hidden": 24', '"hidden": 99999999', "hidden"),
        ("{", "[", "not valid JSON"),
    ):
        config.write_text(words.replace(old, new, 1))
        command(*fit).refused(3, "config.json", text)


def test_python_does_what_the_command_line_does(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import weightgen

    monkeypatch.chdir(here)
    made = weightgen.fit("start", "pictures/p1.png", "fits", steps=4, render="out.png")
    assert made.fits.signals[0].score == pytest.approx(float(made.curve[4][0]))
    assert pixels(here / "out.png").shape == (12, 12, 3)
    assert weightgen.load_start(here / "start").inner_steps == 2
    weightgen.verify(here / "fits")
    recipe = weightgen.load_recipe(here / "start" / "recipe.yaml")
    weightgen.run_recipe(recipe, here / "again")
    ours, theirs = ((here / d / "model.safetensors").read_bytes() for d in ("again", "start"))
    assert ours == theirs


def test_two_processes_learn_what_one_learns(here: Path) -> None:
    """Tasks are spread over processes: the mean of their meta-gradients is that of all."""
    sizes = ("--field-args", "hidden=24,hidden_layers=2", "--batch-size", "4")
    words = ("-m", "weightgen", *COMMON, *sizes, "--steps", "3", "--trials", "0", "--out")
    # The launcher's own free port: one that a test looks for may be taken before it is used.
    launcher = ("-m", "torch.distributed.run", "--nproc_per_node=2", "--standalone")
    for launch, out in (((), "one"), (launcher, "two")):
        done = subprocess.run([sys.executable, *launch, *words, out], cwd=here, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("wrote") == 1
    one, two = (load_file(here / out / "model.safetensors") for out in ("one", "two"))
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-3, atol=1e-5)


def test_recipes_say_the_same(command: Command, here: Path) -> None:
    printed = command(*LEARN, "--print-recipe").out
    (here / "recipe.yaml").write_text(printed)
    assert command("run", "recipe.yaml", "--out", "by-recipe").code == 0
    assert (here / "by-recipe" / "model.safetensors").read_bytes() == (
        here / "start" / "model.safetensors"
    ).read_bytes()
    printed = command("fit", "start", "pictures/p1.png", "--steps", "3", "--print-recipe").out
    (here / "recipe.yaml").write_text(printed)
    assert command("run", "recipe.yaml", "--out", "fits").code == 0
    assert (here / "fits" / "config.json").exists()
