"""`weightgen diagnose --against`: what training made of a start."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.conftest import Command
from weightgen.diagnostics import COMPARISONS

SIZES = "img_size=8,patch_size=4,in_chans=1,num_classes=10,embed_dim=12,depth=2,num_heads=3"
VIT = ("--model", "timm:vit_tiny_patch16_224", "--model-args", SIZES, "--threads", "1")
pytestmark = pytest.mark.usefixtures("one_thread")


def test_a_training_is_compared_with_its_start(command: Command, tmp_path: Path) -> None:
    words = ("--task", "classify", *VIT, "--batch-size", "16", "--seed", "4")
    assert command("train", *words, "--steps", "1", "--lr", "1e-9", "--out", "start").code == 0
    assert command("train", *words, "--start", "start", "--steps", "40", "--lr", "5e-3", "--out", "end").code == 0
    asked = ("--against", "start", "--data", "digits", "--items", "16", "--measure", "all", *VIT[4:], "--json")
    done = command("diagnose", "end", "same=start", *asked)
    assert done.code == 0, done.err
    end, same = (s["found"] for s in json.loads(done.out)["starts"])
    assert end.keys() == COMPARISONS.keys()
    assert same["rotation"]["numbers"] == {"mean": 0, "smallest": 0, "largest": 0}
    assert 0 < end["rotation"]["numbers"]["smallest"] <= end["rotation"]["numbers"]["largest"] < 1
    assert {row["layer"] for row in end["rotation"]["rows"]} >= {"patch_embed.proj", "blocks.1.mlp.fc2", "head"}
    line = end["straight-line"]["numbers"]
    assert line["loss_at_end"] < line["loss_at_start"]
    assert same["straight-line"]["numbers"]["height_over_ends"] == 0
    assert same["laziness"]["numbers"]["kernel_alignment"] == pytest.approx(1)
    assert end["laziness"]["numbers"]["kernel_alignment"] < 0.9999
    assert same["butterfly"]["numbers"]["l2_aligned"] == 0
    assert end["butterfly"]["numbers"]["l2"] > 0
    report = command("diagnose", "end", "--against", "start", *VIT[4:], "--out", "found")
    assert report.code == 0, report.err
    assert "rotation: layers turned by" in re.sub(r"\s+", " ", report.out)
    again = command("run", "found/recipe.yaml", "--out", "again")
    assert again.code == 0, again.err
    ours, theirs = ((tmp_path / d / "diagnosis.json").read_bytes() for d in ("found", "again"))
    assert ours == theirs


def test_the_butterfly_test_in_four_commands(command: Command) -> None:
    """As METHODS.md has it: a start, trained as it is and with noise, and the barrier between the ends."""
    assert command("init", *VIT[:4], "--method", "default", "--out", "start").code == 0
    words = ("train", "--task", "classify", "--steps", "30", "--batch-size", "16", "--lr", "5e-3", *VIT[4:], "--start")
    for start, end in (("start", "end"), ("perturbed:0:start", "same"), ("perturbed:0.5:start", "other")):
        done = command(*words, start, "--out", end)
        assert done.code == 0, done.err
    asked = ("--measure", "butterfly", "--data", "digits", "--items", "16", *VIT[4:], "--json")
    done = command("diagnose", "same", "other", "--against", "end", *asked)
    assert done.code == 0, done.err
    same, other = (s["found"]["butterfly"]["numbers"] for s in json.loads(done.out)["starts"])
    assert same["l2"] == same["barrier"] == same["barrier_aligned"] == 0
    assert 0 < other["l2_aligned"] <= other["l2"]
    assert {"barrier", "barrier_aligned", "cka"} <= other.keys()
    # At the start already: the noise has half of the norm that initial values have.
    near = command("diagnose", "perturbed:0.5:start", "--against", "start", *asked)
    assert 0 < json.loads(near.out)["starts"][0]["found"]["butterfly"]["numbers"]["l2"] < other["l2"]


def test_what_compares_and_what_does_not(command: Command) -> None:
    command("diagnose", "random", *VIT, "--measure", "rotation").refused(
        2, "rotation compares two models: add --against"
    )
    words = ("diagnose", "random", *VIT, "--against", "random", "--measure")
    command(*words, "variance").refused(2, "variance is of one model alone: leave --against out")
    command(*words, "rotaton").refused(2, "no measure 'rotaton'. Did you mean 'rotation'?")
    command("diagnose", "random", *VIT, "--against", "nowhere").refused(2, "'nowhere' is no start")
    listed = command("diagnose", "--list")
    assert "With --against START:" in listed.out
    assert all(re.search(rf"^{name} ", listed.out, re.M) for name in COMPARISONS)
