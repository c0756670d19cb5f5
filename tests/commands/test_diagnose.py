"""`weightgen diagnose`: tables, data, reports, and measures that cannot be taken."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import Command
from tests.tiny_text import save_model, save_text
from weightgen.diagnostics import MEASURES
from weightgen.diagnostics.measure import Measurement
from weightgen.errors import UsageError
from weightgen.jobs.diagnose import chosen

pytestmark = pytest.mark.usefixtures("one_thread")
SIZES = "embed_dim=12,depth=3,num_heads=3,img_size=8,patch_size=4,num_classes=10,in_chans=1"
VIT = ("--model", "vit-tiny", "--model-args", SIZES, "--threads", "1")
HEADLESS = ("--model", "vit-tiny", "--model-args", SIZES.replace("classes=10", "classes=0"), "--threads", "1")


def test_one_start(command: Command) -> None:
    done = command("diagnose", "random", *VIT, "--measure", "variance", "--measure", "jacobian")
    assert done.code == 0, done.err
    assert done.left == frozenset()
    lines = done.out.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0] == "timm vit_tiny_patch16_224"
    assert lines[1] == "measured on 32 images of N(0, 1) pixels, 1 x 8 x 8, with random classes to"
    assert any(re.fullmatch(r"  forward last over first +0\.\d+", line) for line in lines)
    assert "variance: over 14 layers outputs" in done.out
    assert "(2 items, 10 of 10 outputs)" in re.sub(r"\s+", " ", done.out)
    assert re.search(r"^blocks\.\*\.mlp\.fc1  x 3 +0\.\d+ \.\. 0\.\d+$", done.out, re.M)


def test_starts_side_by_side(command: Command) -> None:
    starts = ("random", "he=he-normal", "orthogonal", "glorot-uniform", "again=random")
    done = command("diagnose", *starts, *VIT, "--measure", "variance", "--measure", "snip", "--items", "8")
    assert done.code == 0, done.err
    assert max(map(len, done.out.splitlines())) <= 80
    header = next(line.split() for line in done.out.splitlines() if "orthogonal" in line)
    assert header == ["random", "he", "orthogonal", "glorot-uniform"]  # the fifth stands in the next table
    found = json.loads(command("diagnose", *starts, *VIT, "--measure", "variance", "--items", "8", "--json").out)
    assert [s["name"] for s in found["starts"]] == ["random", "he", "orthogonal", "glorot-uniform", "again"]
    told = [s["found"]["variance"]["numbers"] for s in found["starts"]]
    assert told[0] == told[4]
    assert told[0]["forward_last_over_first"] != told[1]["forward_last_over_first"]
    assert found["measures"]["variance"]["paper"] == MEASURES["variance"].paper


def test_checkpoints_and_data(command: Command, tmp_path: Path) -> None:
    save_model(tmp_path / "bert", "BertForMaskedLM")
    text = save_text(tmp_path / "words.txt", 9000)
    options = ("--measure", "gradsign", "--measure", "kernel", "--items", "6", "--length", "12", "--threads", "1")
    done = command("diagnose", "bert", "shuffled:bert", "--data", text, *options)
    assert done.code == 0, done.err
    assert "BertForMaskedLM\nmeasured on 6 training items of" in done.out
    assert "(masked)" in re.sub(r"\s+", " ", done.out)
    assert "bert  shuffled:bert" in done.out
    save_model(tmp_path / "llama", "LlamaForCausalLM")
    told = json.loads(command("diagnose", "llama", "--data", text, *options, "--json").out)
    assert told["data"].endswith("(causal)")
    digits = json.loads(command("diagnose", "random", *VIT, "--data", "digits", "--measure", "snip", "--json").out)
    assert digits["data"] == "32 training items of digits (classify)"
    random = json.loads(command("diagnose", "random", *VIT, "--measure", "snip", "--json").out)
    assert digits["starts"][0]["found"] != random["starts"][0]["found"]


def test_a_measure_that_cannot_be_taken_says_why(command: Command) -> None:
    done = command("diagnose", "random", *HEADLESS, "--measure", "snip", "--measure", "variance")
    assert done.code == 0, done.err
    assert "random: snip not measured: needs a loss, and the model has no head" in re.sub(r"\s+", " ", done.out)
    assert "forward last over first" in done.out
    found = json.loads(command("diagnose", "random", *HEADLESS, "--measure", "all", "--items", "4", "--json").out)
    told = found["starts"][0]["found"]
    assert "needs a loss" in told["sharpness"]["not_measured"]
    assert told["jacobian"]["numbers"]["largest"] > 0
    done = command("diagnose", "random", *HEADLESS, "--measure", "snip", "--measure", "grasp")
    done.refused(3, "nothing could be measured:", "snip: needs a loss", "grasp: needs a loss")


def test_a_model_that_breaks_is_not_the_end(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(probe: object) -> Measurement:
        raise RuntimeError("derivative for aten::odd is not implemented\nand more")

    monkeypatch.setitem(MEASURES, "snip", replace(MEASURES["snip"], function=broken))
    done = command("diagnose", "random", *VIT, "--measure", "snip", "--measure", "variance")
    assert done.code == 0
    assert "RuntimeError: derivative for aten::odd is not implemented" in re.sub(r"\s+", " ", done.out)
    assert "and more" not in done.out


def test_refusals(command: Command, tmp_path: Path) -> None:
    command("diagnose").refused(2, "measure what? Name a start")
    command("diagnose", "random", *VIT, "--measure", "varience").refused(2, "Did you mean 'variance'?", "--list")
    command("diagnose", "random").refused(2, "add --model NAME")
    command("diagnose", "random", "random", *VIT).refused(2, "two starts are called 'random'")
    command("diagnose", "random", *VIT, "--data", "nowhere").refused(2, "'nowhere' is no such directory")
    command("diagnose", "random", *VIT, "--items", "1").refused(2, "--items")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    refused = command("diagnose", "random", *VIT, "--out", "mine")
    refused.refused(2, "mine: holds other things than a diagnosis", "--force")
    (tmp_path / "file").write_text("")
    command("diagnose", "random", *VIT, "--out", "file").refused(2, "file: is a file")


def test_a_translator_is_measured_on_pairs(command: Command) -> None:
    command("diagnose", "random", "--model", "translator").refused(
        2, "a translator makes images of images", "Add --task translate --data concept:'sepia tone', or a folder of"
    )
    words = ("--task", "translate", "--data", "concept:sepia tone", "--image-size", "16", "--items", "4")
    done = command("diagnose", "random", "--model", "translator", *words, "--measure", "kernel", "--threads", "1")
    assert done.code == 0, done.err


def test_which_measures_are_taken() -> None:
    cheap = [n for n, m in MEASURES.items() if m.cost == "seconds"]
    assert chosen([]) == cheap
    assert "sharpness" not in cheap
    assert chosen(["snip", "variance"]) == ["variance", "snip"]
    assert chosen(["all"]) == list(MEASURES)
    with pytest.raises(UsageError, match="no measure 'al'"):
        chosen(["al"])


def test_list(command: Command) -> None:
    done = command("diagnose", "--list")
    assert done.code == 0
    assert max(map(len, done.out.splitlines())) <= 80
    for name, measure in MEASURES.items():
        assert re.search(rf"^{name} ", done.out, re.M)
        assert measure.paper.split(" ")[0] in done.out
    assert json.loads(command("diagnose", "--list", "--json").out)["measures"].keys() == MEASURES.keys()
