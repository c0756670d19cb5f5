"""Every kind of signal but pictures, from the command line: learned, fitted, drawn, raced."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import trimesh
from PIL import Image

from tests.conftest import Command
from tests.inr.balls import around, write_scene
from weightgen.compare.field_jobs import SIDE
from weightgen.inr.fitting import evaluator, stacked
from weightgen.inr.start import load_start

pytestmark = pytest.mark.usefixtures("one_thread")
LEARN = ("--field", "siren", "--field-args", "hidden=24,hidden_layers=2,first_frequency=10", "--inner-rate", "0.05")
BRIEFLY = ("--steps", "3", "--points", "50", "--trials", "1", "--budget", "2", "--tune", "1", "--threads", "1")


def tone(folder: Path, number: int) -> None:
    samples = 0.5 * np.sin(np.arange(200) * (0.02 + number / 100))
    soundfile.write(folder / f"s{number}.wav", samples, 8000)


def disc(folder: Path, number: int) -> None:
    rows, columns = np.mgrid[-1:1:16j, -1:1:16j]
    inside = rows**2 + columns**2 < 0.3 + number / 20
    Image.fromarray((inside * 200).astype(np.uint8)).save(folder / f"s{number}.png")


def box(folder: Path, number: int) -> None:
    trimesh.creation.box((1, 1, 1 + number / 4)).export(folder / f"s{number}.obj")


def scene(folder: Path, number: int) -> None:
    write_scene(folder / f"s{number}", around(3, number / 10), height=6, width=6)


@pytest.mark.parametrize(
    ("kind", "write", "conventions", "points", "signal", "suffix"),
    [
        ("audio", tone, "length=200", 200, "s0.wav", ".wav"),
        ("ct", disc, "angles=8,samples=8", 8 * 16 * 8, "s0.png", ".png"),
        ("shape", box, "points=400", 400, "s0.obj", ".ply"),
        ("views", scene, "samples=6", 2 * 6 * 6 * 6, "s0", ".png"),
    ],
)
def test_from_a_folder_to_a_drawing(
    command: Command,
    tmp_path: Path,
    kind: str,
    write: Callable[[Path, int], None],
    conventions: str,
    points: int,
    signal: str,
    suffix: str,
) -> None:
    (tmp_path / "data").mkdir()
    for number in range(6):
        write(tmp_path / "data", number)
    learn = ("metalearn", "data", "--kind", kind, "--signal-args", conventions, *LEARN, *BRIEFLY)
    outcome = command(*learn, "--out", "start")
    assert outcome.code == 0, outcome.err
    config = json.loads((tmp_path / "start" / "config.json").read_text())
    assert config["signal"]["kind"] == kind
    assert f"out{suffix}" in outcome.out or kind == "shape"

    fit = ("fit", "start", f"data/{signal}", "--steps", "2", "--out", "fits")
    outcome = command(*fit, "--render", f"first{suffix}", "--render-size", "16", "--json")
    assert outcome.code == 0, outcome.err
    assert command("render", "fits", "--out", f"again{suffix}", "--size", "16").code == 0
    assert (tmp_path / f"first{suffix}").read_bytes() == (tmp_path / f"again{suffix}").read_bytes()
    assert command("verify", "fits").code == 0

    race = ("compare", "--task", "fit", "--data", "data", "--start", "start", "--start", "random", "--start", "mean")
    outcome = command(*race, "--steps", "2", "--seeds", "1", "--lr-trials", "1", "--workers", "1", "--out", "race")
    assert outcome.code == 0, outcome.err
    found = json.loads((tmp_path / "race" / "results.json").read_text())
    assert found["task"]["name"] == f"fit {kind}"  # of this folder, not of the one so named that was raced before
    assert found["environment"]["signals"]["test"] == 1  # what learning held out
    weights = 24 * (config["field"]["inputs"] + 24 + config["field"]["outputs"])
    assert {s["flops_per_step"] for s in found["starts"]} == {3 * 2 * weights * points}  # of all points along the rays
    assert ("pictures" in found) == (kind in ("ct", "views"))
    if "pictures" in found:  # before any step: the start itself, a scene through the camera of the view beside it
        start, shown = load_start(tmp_path / "start"), found["pictures"][1]
        (seen,) = (s for s in start.kind.load(str(tmp_path / "data")) if s.name == shown["signal"])
        evaluate = evaluator(start.field, stacked(start.field, 1))
        drawn = start.kind.aimed(seen).render(evaluate, start.kind.shape(seen), SIDE)
        start.kind.save(drawn, tmp_path / "drawn.png", start.kind.shape(seen))
        with Image.open(io.BytesIO(base64.b64decode(shown["png"]))) as picture, Image.open("drawn.png") as expected:
            assert (shown["start"], shown["step"]) == ("start", 0)
            assert np.array_equal(np.asarray(picture), np.asarray(expected.convert(picture.mode)))
    assert all(np.isfinite(start["curve"]["mean"]).all() for start in found["starts"])
