"""`weightgen compare --task translate` from end to end: speed-up in PSNR, picture strips, stops and resumption."""

from __future__ import annotations

import base64
import io
import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.compare.browser import BINARY, visit
from tests.conftest import Command
from tests.tasks.test_translate import write_pairs
from weightgen.compare.pictures import steps_shown
from weightgen.publishing.manifest import check
from weightgen.tasks.translate import TranslateTask

pytestmark = pytest.mark.usefixtures("one_thread")
TASK = ("--task", "translate", "--data", "pairs", "--image-size", "16", "--batch-size", "8", "--weight-decay", "0")
MODEL = ("--model", "translator", "--model-args", "width=6,layers=3")
LOOP = ("--lr", "3e-3", "--threads", "1")


def race(out: str, *more: str) -> tuple[str, ...]:
    words = ("compare", *TASK, *LOOP, "--lr-trials", "1", "--marks", "4", "--workers", "1", "--out", out)
    return (*words, "--start", "taught", "--start", "random", *more)


@pytest.fixture
def taught(command: Command, tmp_path: Path) -> Path:
    """A start for negatives, made as its user makes it."""
    write_pairs(tmp_path / "pairs", 8)
    outcome = command("train", *TASK, *MODEL, *LOOP, "--steps", "60", "--out", "taught")
    assert outcome.code == 0, outcome.err
    assert "PSNR" in outcome.out
    return tmp_path / "taught"


def test_a_race_and_its_pictures(taught: Path, command: Command, tmp_path: Path) -> None:
    outcome = command(*race("race", "--steps", "30", "--seeds", "2", "--require", "taught:speedup>=2"))
    assert outcome.code == 0, outcome.err
    found = json.loads((tmp_path / "race" / "results.json").read_text())
    ours, random = found["starts"]
    assert found["task"]["metric"] == {"name": "PSNR", "higher_is_better": True, "exponentiate": False}
    assert ours["curve"]["mean"][0] > random["curve"]["mean"][0] + 3  # dB
    assert random["curve"]["mean"][-1] > random["curve"]["mean"][0] + 1
    # The start needs no step for what random weights reach in thirty: one is counted.
    assert ours["speedup"]["value"] == pytest.approx(30, rel=0.01)
    assert {0, 5, 20, 30} <= set(ours["curve"]["steps"])

    shown: dict[tuple[str, str], list[Any]] = {}
    for p in found["pictures"]:
        shown.setdefault((p["signal"], p["start"]), []).append(p)
    assert list(shown)[:4] == [("p03", "before"), ("p03", "target"), ("p03", "taught"), ("p03", "random")]
    assert len(shown) == 8  # two photos are held out
    task = TranslateTask(str(tmp_path / "pairs"), 16)
    for (title, start), row in shown.items():
        if start not in ("taught", "random"):
            continue
        assert [p["step"] for p in row] == [0, 5, 20, 30]
        item = next(s.item for s in task.shown if s.title == title)
        target = (255 * task.batch("validation", [item])["after"][0].permute(1, 2, 0)).round().numpy()
        for p in row:  # what stands under a picture is what the picture has
            with Image.open(io.BytesIO(base64.b64decode(p["png"]))) as image:
                error = np.square(np.asarray(image) / 255 - target / 255).mean()
            assert p["score"] == pytest.approx(-10 * np.log10(error), abs=0.2)
    run = tmp_path / "race" / "runs" / "01-taught"
    assert len(list((run / "seed-0" / "pictures").iterdir())) == 8
    assert not (run / "seed-1" / "pictures").exists()
    assert (run / "seed-1" / "test-SSIM.npy").exists()
    check(run / "seed-0")
    page = (tmp_path / "race" / "report.html").read_text()
    assert page.count("data:image/png") == len(found["pictures"])
    assert command("report", "race", "--out", "again").code == 0
    assert (tmp_path / "again" / "report.html").read_text() == page


def test_a_stopped_race_ends_as_one_that_was_not(
    taught: Path, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from weightgen.training import loop as training

    words = ("--steps", "12", "--seeds", "1", "--save-every", "4", "--ema", "0.5")
    assert command(*race("whole", *words)).code == 0
    step = training._Loop._train_step
    taken = 0

    def interrupting(self: Any, *arguments: Any) -> bool:
        nonlocal taken
        taken += 1
        if taken == 2 * 12 + 7:  # two trials of twelve steps, and the first run, whose pictures are half drawn
            os.kill(os.getpid(), signal.SIGINT)
        return step(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(training._Loop, "_train_step", interrupting)
        assert command(*race("stopped", *words)).code == 130
    unfinished = tmp_path / "stopped" / "runs" / "01-taught" / "seed-0.training" / "pictures"
    drawn = {f"item-{item}-step-{step}.png" for item in (0, 1) for step in (0, 5)}
    assert {f.name for f in unfinished.iterdir()} == drawn
    assert command(*race("stopped", *words)).code == 0
    one, other = (json.loads((tmp_path / d / "results.json").read_text()) for d in ("whole", "stopped"))
    assert one["pictures"] == other["pictures"]
    assert [s["curve"] for s in one["starts"]] == [s["curve"] for s in other["starts"]]
    assert not list((tmp_path / "stopped").rglob("*.training"))


def test_steps_that_are_shown(tmp_path: Path) -> None:
    task = TranslateTask(str(write_pairs(tmp_path / "pairs", 8)), 16)
    assert steps_shown(task, 100) == (0, 5, 20, 100)
    assert steps_shown(task, 20) == (0, 5, 20)
    assert steps_shown(task, 3) == (0, 3)


@pytest.mark.skipif(BINARY is None, reason="needs Chromium")
@pytest.mark.parametrize("width", [360, 1280])
def test_the_strips_in_a_browser(taught: Path, command: Command, tmp_path: Path, width: int) -> None:
    assert command(*race("race", "--steps", "6", "--seeds", "1")).code == 0
    probe = """
    note("page", document.documentElement.scrollWidth);
    note("heads", $$(".pictures thead tr").map((row) => [...row.children].map((cell) => cell.textContent)));
    note("rows", $$(".pictures tbody tr").map((row) => [...row.children].map((cell) => cell.textContent.trim())));
    note("beside", $$(".pictures caption").map((caption) => caption.innerText.split("\\n")));
    note("broken", $$(".pictures img").filter((i) => !i.complete || !i.naturalWidth).length);
    """
    seen = visit(tmp_path / "race" / "report.html", probe, width, tmp_path)
    assert seen.console == []
    assert "errors" not in seen.found
    assert seen.found["page"] <= width
    assert seen.found["broken"] == 0
    assert seen.found["heads"] == [["Start", "0 steps", "5 steps", "6 steps"]] * 2
    assert [row[0] for row in seen.found["rows"]] == ["taught", "random"] * 2
    assert all(float(score) > 0 for row in seen.found["rows"] for score in row[1:])
    assert seen.found["beside"] == [["p03", "before", "target"], ["p07", "before", "target"]]
