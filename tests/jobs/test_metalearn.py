"""`weightgen metalearn` from the command line, on small pictures; what it learned is fitted and drawn."""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.conftest import Command
from tests.inr.small_start import COMMON, FIELD, INNER, LEARN, here, made, pixels, write
from weightgen.inr.config import FIELDS, field_config
from weightgen.inr.field import Field
from weightgen.inr.from_recipe import kind_of, load_signals, make_learner
from weightgen.inr.signals import make_kind
from weightgen.inr.snippet import snippet
from weightgen.inr.start import Start, load_start, save_start
from weightgen.inr.strainer import Strainer
from weightgen.recipe import MetalearnRecipe

__all__ = ["here", "made"]
pytestmark = pytest.mark.usefixtures("one_thread")


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


@pytest.mark.parametrize("algorithm", ["fomaml", "reptile", "reptile-interpolation", "tinyreptile", "strainer"])
def test_every_algorithm_learns(command: Command, here: Path, algorithm: str) -> None:
    rates = {"reptile-interpolation": "0.5", "tinyreptile": "0.5", "strainer": "0.02"}
    inner: tuple[str, ...] = INNER
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
    from weightgen.training import loop as training

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


def test_ctrl_c_while_rates_are_chosen(command: Command, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from weightgen.jobs import metalearn as metalearning
    from weightgen.training import loop as training

    def interrupting(*arguments: Any) -> None:
        raise KeyboardInterrupt

    def learning(*arguments: Any) -> None:
        raise AssertionError

    with monkeypatch.context() as patch:
        patch.setattr(metalearning, "recommend", interrupting)
        stopped = command(*LEARN, "--out", "again")
    assert stopped.code == 130
    assert "what was learned is saved in again.training" in stopped.err
    with monkeypatch.context() as patch:
        patch.setattr(training._Loop, "_train_step", learning)
        assert command(*LEARN, "--out", "again").code == 0
    assert not (here / "again.training").exists()
    for name in ("model.safetensors", "config.json"):
        assert (here / "again" / name).read_bytes() == (here / "start" / name).read_bytes()


def test_strainer_is_watched_at_a_rate_of_adam(here: Path) -> None:
    told = {"data": str(here / "pictures"), "algorithm": "strainer"}
    for rate, expected in ((None, 1e-3), (0.01, 0.01)):
        recipe = MetalearnRecipe.model_validate({**told, "inner_rate": rate})
        kind = kind_of(recipe)
        model, _ = make_learner(recipe, kind, load_signals(recipe, kind))
        assert isinstance(model, Strainer)
        assert model.rate == expected


def test_what_it_says_to_type_next_works(command: Command, here: Path) -> None:
    said = command(*COMMON, *FIELD, *INNER, "--steps", "2", "--trials", "0", "--out", "a start").out
    for word in ("fit:", "check:"):
        line = next(line for line in said.splitlines() if line.startswith(word))
        assert command(*(w.replace("SIGNAL", "pictures/p1.png") for w in shlex.split(line)[2:])).code == 0


@pytest.mark.parametrize("name", FIELDS)
def test_cards_say_how_to_evaluate_without_weightgen(name: str, tmp_path: Path) -> None:
    config = field_config(name, {"hidden": 6, "hidden_layers": 3, "offset": 0.25, "first_frequency": 123.4567891})
    start = Start(Field(config, 3), make_kind("image", {}))
    (where := tmp_path / 'a "b\\').mkdir()
    save_start(start, where)
    space: dict[str, Any] = {}
    exec(snippet(config, str(where)), space)
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
