"""`weightgen compare --task fit`: a race of starts for fields, with pictures."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.conftest import Command
from tests.inr.fields import refused, small_field
from tests.inr.small_start import here, made, write
from weightgen.compare.entries import make_start, parse_entry
from weightgen.compare.field_jobs import set_up
from weightgen.errors import InputError, UsageError
from weightgen.inr.config import FieldConfig
from weightgen.inr.controls import average, centred
from weightgen.inr.field import Field
from weightgen.inr.fitting import evaluator, stacked
from weightgen.inr.signals import make_kind
from weightgen.inr.signals.division import divided
from weightgen.inr.signals.kind import Signal
from weightgen.inr.start import Start, load_start, save_start
from weightgen.recipe import CompareRecipe

__all__ = ["here", "made"]
pytestmark = pytest.mark.usefixtures("one_thread")
STARTS = ("start", "random", "vi3nr", "winner", "mean", "shuffled:start", "matched:start")


def race(*starts: str, out: str = "race") -> tuple[str, ...]:
    words = ["compare", "--task", "fit", "--data", "new", "--out", out, "--steps", "4", "--seeds", "2"]
    words += ["--lr-trials", "2", "--workers", "1"]
    for start in starts:
        words += ["--start", start]
    return tuple(words)


def test_starts_race_on_held_out_signals(
    made: Path, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("weightgen.inr.controls.FITTED", 5)
    (tmp_path / "start").symlink_to(made / "start")
    write(tmp_path / "new", range(50, 56))
    outcome = command(*race(*STARTS))
    assert outcome.code == 0, outcome.err
    assert all(len(line) <= 80 for line in outcome.out.splitlines())
    found = json.loads((tmp_path / "race" / "results.json").read_text())
    assert [s["name"] for s in found["starts"]] == list(STARTS)
    best = found["starts"][0]
    assert best["curve"]["steps"] == [0, 1, 2, 4]
    assert best["curve"]["mean"][-1] > found["starts"][1]["curve"]["mean"][-1] + 1  # dB over random weights
    assert [s["flops_making"] > 0 for s in found["starts"]] == ["start" in s for s in STARTS]
    assert set(best["lineage"]["chosen"]) == {"1", "2", "4"}
    ways = [s["lineage"]["chosen"]["4"]["adaptation"] for s in found["starts"]]
    told = [None if way["learned_steps"] else way["rate"] for way in ways]
    assert [s["learning_rate"] for s in found["starts"]] == told
    for file in ("report.md", "report.html"):
        said = (tmp_path / "race" / file).read_text()
        assert "alidation PSNR" not in said  # settings were chosen on other signals: no curve is of validation
        assert "validation items" not in said
    assert "0 to 100 %: test PSNR" in outcome.out
    assert found["environment"]["signals"] == {"tuned": 3, "test": 3}
    pictures = [p for p in found["pictures"] if p["start"] == "start"]
    assert [p["step"] for p in pictures] == [0, 1, 2] * 3
    with Image.open(io.BytesIO(base64.b64decode(pictures[0]["png"]))) as image:
        assert image.size == (96, 96)
    page = (tmp_path / "race" / "report.html").read_text()
    assert page.count("data:image/png") == len(found["pictures"])
    assert command("report", "race", "--out", "again").code == 0

    before = {f: f.stat().st_mtime_ns for f in (tmp_path / "race" / "runs").rglob("*.npy")}
    assert command(*race(*STARTS)).code == 0  # nothing is made twice
    assert {f: f.stat().st_mtime_ns for f in (tmp_path / "race" / "runs").rglob("*.npy")} == before
    command(*race("start", "random")).refused(2, "holds another race")


def test_of_what_a_start_was_learned_from_only_the_held_out_race(made: Path, tmp_path: Path) -> None:
    def names(data: str) -> tuple[set[str], set[str]]:
        recipe = CompareRecipe(task="fit", data=data, start=[str(made / "start"), "random"])
        setup = set_up(recipe)
        return {s.name for s in setup.tune}, {s.name for s in setup.test}

    order, test = divided(load_start(made / "start").kind, str(made / "pictures"))
    tuned, raced = names(str(made / "pictures"))
    assert raced == {s.name for s in test} == {s.name for s in test} - {s.name for s in order}
    assert not tuned & raced
    write(tmp_path / "new", range(50, 56))
    tuned, raced = names(str(tmp_path / "new"))  # all of what it has not seen
    assert len(tuned | raced) == 6
    write(tmp_path / "pictures", range(50, 56))
    tuned, raced = names(str(tmp_path / "pictures"))  # others of that name
    assert len(tuned | raced) == 6


def learned_from(start: Path, data: str) -> None:
    lines = (start / "recipe.yaml").read_text().splitlines()
    text = "\n".join(f"data: {data}" if line.startswith("data:") else line for line in lines)
    (start / "recipe.yaml").write_text(text + "\n")


def test_data_that_is_gone_is_known_by_its_name(here: Path) -> None:
    recipe = CompareRecipe(task="fit", data=str(here / "pictures"), start=[str(here / "start"), "random"])
    learned_from(here / "start", "elsewhere/pictures")
    assert len(set_up(recipe).test) == 1  # a tenth of twelve
    (here / "pictures").rename(here / "photos")  # and by the names of its signals
    moved = recipe.model_copy(update={"data": str(here / "photos")})
    assert len(set_up(moved).test) == 1
    (here / "start" / "manifest.json").unlink()
    assert len(set_up(moved, anew=True).test) == 6


def test_signals_that_came_or_went_are_noticed(here: Path) -> None:
    (here / "pictures" / "p3.png").rename(here / "pictures" / "p99.png")
    recipe = CompareRecipe(task="fit", data=str(here / "pictures"), start=[str(here / "start"), "random"])
    assert len(set_up(recipe).test) == 6  # the session's start was learned elsewhere: these are others
    for data in (str(here / "pictures"), "elsewhere/pictures"):  # from here; from what is gone but was called so
        learned_from(here / "start", data)
        refused(InputError, lambda: set_up(recipe, anew=True), "signals came or went since")


def test_starts_that_read_signals_otherwise_do_not_race(tmp_path: Path) -> None:
    for name, size in (("small", 8), ("large", 16)):
        kind = make_kind("ct", {"size": size})
        (tmp_path / name).mkdir()
        save_start(Start(small_field(kind), kind), tmp_path / name)
    recipe = CompareRecipe(task="fit", data="slices", start=[str(tmp_path / n) for n in ("small", "large")])
    refused(UsageError, lambda: set_up(recipe), "large reads signals with size=16", "small with size=8")


def test_of_a_single_signal_nothing_is_left_to_choose_by(here: Path, command: Command) -> None:
    (here / "new").mkdir()
    (here / "pictures" / "p1.png").rename(here / "new" / "p1.png")
    command(*race("start", "random")).refused(3, "at least 2")
    learned_from(here / "start", "new")  # of twelve, as its manifest says
    command(*race("start", "random")).refused(3, "signals came or went since")


def test_fits_of_a_seed_repeat(made: Path, command: Command, tmp_path: Path) -> None:
    (tmp_path / "start").symlink_to(made / "start")
    write(tmp_path / "new", range(50, 54))
    curves = []
    for out in ("one", "two"):
        assert command(*race("start", "random", out=out)).code == 0
        curves.append(np.load(tmp_path / out / "runs" / "02-random" / "seed-1" / "curve.npy"))
    assert np.array_equal(*curves)
    other = np.load(tmp_path / "one" / "runs" / "02-random" / "seed-0" / "curve.npy")
    assert not np.array_equal(curves[0], other)
    learned = [np.load(tmp_path / "one" / "runs" / "01-start" / f"seed-{k}" / "curve.npy") for k in (0, 1)]
    assert np.array_equal(*learned)  # nothing in it is random


def test_controls(made: Path) -> None:
    learned = load_start(made / "start")
    signals = learned.kind.load(str(made / "pictures"))
    shuffled = make_start(parse_entry(f"shuffled:{made / 'start'}"), learned, signals, 0)
    for ours, theirs in zip(shuffled.field.parameters(), learned.field.parameters(), strict=True):
        assert torch.equal(ours.flatten().sort().values, theirs.flatten().sort().values)
        assert not torch.equal(ours, theirs)
    look = learned.kind.observe(learned.kind.standard(signals[0]))["coordinates"].unsqueeze(0)
    shown = evaluator(learned.field, stacked(learned.field, 1))(look)
    random, matched, mean = (
        make_start(parse_entry(t), learned, signals, 0) for t in ("random", f"matched:{made / 'start'}", "mean")
    )
    far, near = (
        float((evaluator(s.field, stacked(s.field, 1))(look) - shown).square().mean()) for s in (random, matched)
    )
    assert near < far / 10
    average = torch.stack([learned.kind.observe(learned.kind.standard(s))["values"] for s in signals]).mean(0)
    far, near = (
        float((evaluator(s.field, stacked(s.field, 1))(look)[0] - average).square().mean()) for s in (random, mean)
    )
    assert near < far / 10


def test_spectra_are_of_what_lies_on_a_grid() -> None:
    pixels = torch.randint(256, (16, 16), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    slices, pictures = make_kind("ct", {"size": 16}), make_kind("image", {"channels": 1, "crop": None})
    found = centred(slices, Signal("slice", pixels))
    assert found.shape == (16, 16, 1)
    assert torch.equal(found, centred(pictures, Signal("picture", pixels.unsqueeze(-1))))
    assert torch.allclose(found[..., 0], pixels / 127.5 - 1, atol=1e-6)
    with pytest.raises(UsageError, match="images, slices and sounds, not of shape"):
        centred(make_kind("shape", {}), Signal("mesh", None))


def test_a_mean_is_fitted_to_as_many_points_whatever_an_observation_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ray is a mean over many points: as many rays as pixels would take a hundred times as long."""
    monkeypatch.setattr("weightgen.inr.controls.FITTED", 1)
    slices = make_kind("ct", {"size": 16, "samples": 32})
    observe, seen = slices.observe, []

    def watched(signal: Signal, which: torch.Tensor, generator: torch.Generator) -> dict[str, torch.Tensor]:
        seen.append(observe(signal, which, generator)["coordinates"].shape)
        return observe(signal, which, generator)

    monkeypatch.setattr(slices, "observe", watched)
    signal = Signal("slice", torch.zeros(16, 16, dtype=torch.uint8))
    average(Field(FieldConfig(hidden=4, hidden_layers=1, outputs=1)), slices, [signal], 0)
    assert set(seen) == {(4096 // 32, 32, 2)}


def test_random_weights_of_any_family(made: Path) -> None:
    learned = load_start(made / "start")
    entry = parse_entry("random:gauss")
    start = make_start(entry, learned, [], 0)
    assert (entry.name, entry.kind) == ("random:gauss", "random")
    assert start.field.config.activation == "gauss" != learned.field.config.activation
    assert (start.field.config.inputs, start.field.config.outputs) == (learned.kind.inputs, learned.kind.outputs)


def test_what_cannot_race_is_refused(made: Path, command: Command, tmp_path: Path) -> None:
    (tmp_path / "start").symlink_to(made / "start")
    write(tmp_path / "new", range(50, 54))
    command(*race("start", "vi3nr")).refused(2, "add --start random")
    command("compare", "--task", "fit", "--start", "start", "--start", "random", "--out", "race").refused(
        2, "--task fit needs --data"
    )
    command(*race("random", "vi3nr")).refused(2, "name a directory of weightgen metalearn")
    command(*race("start", "random", "ramdom")).refused(2, "Did you mean 'random'")
    command(*race("start", "start", "random")).refused(2, "two starts are called 'start'")
    command(*race("start", "random", "shuffled:")).refused(2, "of which start?")
    command(*race("new", "random")).refused(2, "no start for fields here")
    command(*race("start", "random", "random:sirens")).refused(2, "Did you mean 'random:siren'")
    command(*race("start", "random"), "--batch-size", "8").refused(2, "--batch-size has no effect on a race of fits")
    words = ("train", "--task", "fit", "--model", "vit-tiny", "--out", "x")
    command(*words).refused(2, "fields are not trained like models")
