"""`weightgen fit` and `render` from the command line: many signals at once, what diverges, what is refused."""

from __future__ import annotations

import json
import os
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from tests.conftest import Command
from tests.inr.small_start import blobs, here, made, pixels, write
from weightgen.inr.signals import make_kind
from weightgen.inr.signals.division import divided

__all__ = ["here", "made"]
pytestmark = pytest.mark.usefixtures("one_thread")


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
    # Random points are the same for a signal whatever is fitted beside it.
    assert command("fit", "start", "new", "--steps", "4", "--points", "40", "--out", "some").code == 0
    assert command("fit", "start", "new/p52.png", "--steps", "4", "--points", "40", "--out", "alone").code == 0
    some, alone = (load_file(here / out / "model.safetensors") for out in ("some", "alone"))
    assert all(torch.allclose(v, some[n][names.index("p52")], atol=1e-5) for n, v in alone.items())
    whole = together["net.0.weight"][names.index("p52")]
    assert not torch.allclose(alone["net.0.weight"], whole, atol=1e-5)
    command("render", "all", "--out", "x.png").refused(2, "which of 4 fits?")
    command("render", "all", "--out", "x.png", "--name", "nobody").refused(3, "no fit is called 'nobody'")
    assert command("render", "all", "--out", "x.png", "--name", "wide").code == 0
    assert pixels(here / "x.png").shape == (20, 20, 3)
    assert command("render", "each/p50", "--out", "y.png").code == 0
    command("fit", "start", "new", "--render", "one.png").refused(2, "4 signals need a folder")
    command("fit", "start", "new/p50.png", "--render", "drawn").refused(2, "is a folder")


def test_a_fit_that_diverges_keeps_its_best_step(command: Command, here: Path) -> None:
    words = ("fit", "start", "pictures/p1.png", "--optimizer", "sgd", "--rate", "1e12", "--steps", "9")
    outcome = command(*words, "--out", "fits", "--render", "out.png")
    assert outcome.code == 1
    assert "the loss became infinite; its best step was kept. Try a lower --rate." in outcome.err
    kept, start = load_file(here / "fits" / "model.safetensors"), load_file(here / "start" / "model.safetensors")
    assert all(bool(torch.isfinite(t).all()) for t in kept.values())
    assert torch.equal(kept["net.0.weight"], start["net.0.weight"])  # no step was better than none


def test_the_best_step_is_kept(command: Command, here: Path) -> None:
    words = ("fit", "start", "pictures/p1.png", "--optimizer", "adam", "--rate", "1.0", "--steps", "5", "--json")
    found = json.loads(command(*words).out)
    none = json.loads(command("fit", "start", "pictures/p1.png", "--steps", "0", "--json").out)
    assert found["signals"][0]["score"] >= none["signals"][0]["score"]


def test_what_does_not_fit_together_is_refused(command: Command, here: Path) -> None:
    command("fit", "pictures", "pictures/p1.png").refused(2, "no start for fields here", "weightgen metalearn")
    command("fit", "start", "pictures/p1.png", "--rate", "0.1").refused(2, "--rate wants to know of which")
    command("fit", "start", "pictures/p1.png", "--optimizer", "adam").refused(2, "needs a --rate")
    command("fit", "start", "nothing.png").refused(2, "no such file")
    unknown = ("--render", "out.xyz", "--out", "lost")
    command("fit", "start", "pictures/p1.png", *unknown).refused(2, "out.xyz: cannot be written", ".png, .jpg")
    assert not (here / "lost").exists()  # before the steps, not after them
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
        ('"channels": 3', '"channels": 1', "image signals have 1 values at 2 coordinates, its field 3 at 2"),
        ('"inputs": 2', '"inputs": 3', "image signals have 3 values at 2 coordinates, its field 3 at 3"),
        ('"format": "weightgen-inr-start"', '"format": "other"', "expected format weightgen-inr-start"),
        ('"hidden": 24', '"hidden": 99999999', "hidden"),
        ("{", "[", "not valid JSON"),
    ):
        config.write_text(words.replace(old, new, 1))
        command(*fit).refused(3, "config.json", text)
    huge = words.replace('"hidden": 24', '"hidden": 16384').replace('"hidden_layers": 2', '"hidden_layers": 64')
    config.write_text(huge)  # 69 GB, if it were believed
    command(*fit).refused(3, "which config.json asks for")


def test_fits_that_cannot_be_are_refused(command: Command, here: Path) -> None:
    assert command("fit", "start", "pictures/p1.png", "--out", "one").code == 0
    config = here / "one" / "config.json"
    told = json.loads(config.read_text())
    for shape, text in (
        ([], "no []"),
        ([3], "a grid of 2 sizes"),
        ([3, 4, 5], "a grid of 2 sizes"),
        ([0, 4], "shape"),
        ([-5, 10], "shape"),
        ([10**7, 10**7], "no [10000000, 10000000]"),
    ):
        told["signals"][0]["shape"] = shape
        config.write_text(json.dumps(told))
        command("render", "one", "--out", "x.png").refused(3, "config.json", text)


def test_python_does_what_the_command_line_does(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import weightgen

    monkeypatch.chdir(here)
    found = weightgen.fit("start", "pictures/p1.png", "fits", steps=4, render="out.png")
    assert found.fits.signals[0].score == pytest.approx(float(found.curve[4][0]))
    assert pixels(here / "out.png").shape == (12, 12, 3)
    assert weightgen.load_start(here / "start").inner_steps == 2
    weightgen.verify(here / "fits")
    recipe = weightgen.load_recipe(here / "start" / "recipe.yaml")
    weightgen.run_recipe(recipe, here / "again")
    ours, theirs = ((here / d / "model.safetensors").read_bytes() for d in ("again", "start"))
    assert ours == theirs


def test_a_drawing_that_fails_does_not_lose_the_fit(command: Command, here: Path) -> None:
    Image.fromarray(blobs(70).repeat(3, 0).repeat(2, 1)[:, :3]).save(here / "tall.png")  # 36 x 3
    fit = ("fit", "start", "tall.png", "--steps", "1", "--out", "one", "--curve", "tables/curve.csv")
    outcome = command(*fit, "--render", "one.webp", "--render-size", "16384")
    assert outcome.code == 2
    assert "one.webp: cannot be written (" in outcome.err
    assert not (here / "one.webp").exists()
    assert command("render", "one", "--out", "one.png").code == 0
    assert (here / "tables" / "curve.csv").is_file()


def test_what_it_says_to_type_next_works(command: Command, here: Path) -> None:
    write(here / "two of them", range(60, 62))
    for words in (("--out", "stacked fits"), ("--out", "parts", "--separate")):
        said = command("fit", "start", "two of them", *words).out
        line = next(line for line in said.splitlines() if line.startswith("draw:"))
        assert command(*shlex.split(line)[2:]).code == 0
        (here / "drawn.png").unlink()


def test_places_to_write_to_are_checked(command: Command, here: Path) -> None:
    before = (here / "start" / "config.json").read_bytes()
    command("fit", "start", "pictures/p1.png", "--out", "start", "--force").refused(2, "is what it would be made from")
    assert (here / "start" / "config.json").read_bytes() == before
    os.mkfifo(here / "pipe.png")
    (here / "file").touch()
    for option in ("--curve", "--render"):
        fit = ("fit", "start", "pictures/p1.png", "--out", "never", option)
        command(*fit, "pipe.png").refused(2, "no regular file")
        command(*fit, "file/inside/x.png").refused(2, "file is no directory")
        command(*fit, "pictures/p1.png").refused(2, "is what it would be made from")
    command("fit", "start", "pictures/p1.png", "--curve", "start").refused(2, "no regular file")
    command("fit", "start", "pictures/p1.png", "--out", "file/inside").refused(2, "file is no directory")
    command("fit", "start", "pictures/p1.png", "--render", "x.png", "--render-size", "20000").refused(2, "not 20000")
    command("fit", "start", "pictures", "--render", "pictures").refused(2, "is what it would be made from")
    command("fit", "start", "pictures", "--render", "file").refused(2, "12 signals need a folder")
    assert np.array_equal(pixels(here / "pictures" / "p1.png"), blobs(1) / 255)
    assert (here / "pipe.png").is_fifo()
    (here / "drawn.v1").mkdir()
    assert command("fit", "start", "pictures", "--render", "drawn.v1").code == 0
    assert not (here / "never").exists()
    assert command("fit", "start", "pictures/p1.png", "--out", "one").code == 0
    for size in ("0", "-5", "20000"):
        assert command("render", "one", "--out", "one.png", "--size", size).code == 2
    changed = ("fit", "start", "pictures/p1.png", "--signal-args", "channels=4", "--out", "two")
    command(*changed).refused(2, "signals of 4 values at 2 coordinates, the start is for 3 at 2")


def test_folders_of_a_zip_say_what_they_are_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    write(tmp_path / "set" / "train", range(3))
    write(tmp_path / "set" / "test", range(3, 5))
    for name, words in (
        ("inside", {"root_dir": tmp_path / "set"}),
        ("whole", {"root_dir": tmp_path, "base_dir": "set"}),
    ):
        file = shutil.make_archive(str(tmp_path / name), "zip", **words)
        order, test = divided(make_kind("image", {"crop": 12}), file)
        assert sorted(s.name for s in order) == ["p0", "p1", "p2"]
        assert sorted(s.name for s in test) == ["p3", "p4"]
