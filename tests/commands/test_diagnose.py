"""`weightgen diagnose`: tables, data, reports, and measures that cannot be taken."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import Command
from tests.tiny_text import save_model, save_text
from weightgen import load_recipe, run_recipe
from weightgen.diagnostics import MEASURES
from weightgen.diagnostics.diagnosis import Diagnosed, Diagnosis
from weightgen.diagnostics.layers import fold
from weightgen.diagnostics.measure import Measurement, Row, Series
from weightgen.diagnostics.report.chart import chart
from weightgen.diagnostics.report.page import page
from weightgen.diagnostics.report.panels import across, panels
from weightgen.diagnostics.text import diagnosis_text, shown
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


class Outline(HTMLParser):
    """Collects what could load something from elsewhere, and checks that elements close in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [v or "" for k, v in attrs if k in ("src", "href", "srcset", "data", "action", "xlink:href")]
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_report(command: Command, tmp_path: Path) -> None:
    hostile = "<b>$x^2$\x1b[31m"
    options = ("--measure", "variance", "--measure", "kernel", "--items", "6")
    done = command("diagnose", f"{hostile}=random", "he-normal", *VIT, *options, "--out", "found")
    assert done.code == 0, done.err
    assert done.out.endswith("report: found/report.html\nagain:  weightgen run found/recipe.yaml --out found\n")
    assert "\x1b" not in done.out
    out = tmp_path / "found"
    assert sorted(p.name for p in out.iterdir()) == ["curves.png", "diagnosis.json", "recipe.yaml", "report.html"]
    page = (out / "report.html").read_text()
    outline = Outline()
    outline.feed(page)
    assert outline.open == []
    assert outline.links
    assert all(link.startswith("#") for link in outline.links)
    assert "<script" not in page
    assert "<b>" not in page
    assert page.count('<svg class="chart"') == 2 * 3  # two widths of three panels
    assert page.count('class="series') == 2 * 3 * 2
    assert "blocks.2.mlp.fc2" in page
    with Image.open(out / "curves.png") as image:
        assert image.width >= 1000
    assert json.loads((out / "diagnosis.json").read_text())["schema"] == 1


def test_the_same_seed_writes_the_same_bytes(command: Command, tmp_path: Path) -> None:
    first = command("diagnose", "random", *VIT, "--items", "6", "--measure", "snip", "--out", "one")
    assert first.code == 0, first.err
    again = command("run", "one/recipe.yaml", "--out", "two")
    assert again.code == 0, again.err
    for name in ("diagnosis.json", "recipe.yaml", "report.html"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert not (tmp_path / "one" / "curves.png").exists()  # SNIP has no curve
    assert run_recipe(load_recipe(tmp_path / "one" / "recipe.yaml"), tmp_path / "three") == tmp_path / "three"
    assert (tmp_path / "three" / "diagnosis.json").read_bytes() == (tmp_path / "one" / "diagnosis.json").read_bytes()
    assert command("diagnose", "random", *VIT, "--items", "6", "--measure", "variance", "--out", "one").code == 0
    other = command("diagnose", "random", *VIT, "--items", "6", "--measure", "variance", "--seed", "1", "--json")
    assert other.out != (tmp_path / "one" / "diagnosis.json").read_text()
    recipe = command("diagnose", "random", *VIT, "--measure", "snip", "--print-recipe").out
    assert recipe.startswith("stage: diagnose\n")
    assert "start:\n- random\nmeasure:\n- snip\n" in recipe


def made(**values: float) -> Diagnosis:
    rows = tuple(Row(f"blocks.{i}.{'very_' * 12}long.fc{i % 2}", {"share": i / 7}) for i in range(40))
    rows += tuple(Row(f"layer{i}", {"share": 0.0}) for i in range(20))
    series = (Series("value", "index", (1.0, 0.0, math.nan), log=True), Series("empty", "index", (math.inf,)))
    found = Measurement("x", values, "it is so", "all", rows, series)
    starts = [Diagnosed(f"start-{i}" * 5, "random", "random", {"x": found, "y": "why not"}) for i in range(9)]
    told = {"paper": "P", "says": "s"}
    return Diagnosis("a model", "data", {"x": told, "y": told}, starts, "", {})


def test_text_is_narrow_and_folds_layers() -> None:
    text = diagnosis_text(made(one=math.nan, two=math.inf, three=12.0, four=0.123456))
    assert max(map(len, text.splitlines())) <= 80
    assert "... 10 more: --json has all" in text
    assert re.search(r"^  one +- +-", text, re.M)
    assert re.search(r"^  two +inf", text, re.M)
    assert re.search(r"^  three +12 +12", text, re.M)
    assert re.search(r"^  four +0\.123 ", text, re.M)
    assert re.search(r"^y +- +-", text, re.M)
    assert text.count("y not measured: why not") == 9


def test_folding() -> None:
    rows = [Row(n, {"v": float(i)}) for i, n in enumerate(["stem", "b.0.fc1", "b.0.fc2", "b.1.fc1", "b.1.fc2", "7"])]
    found = fold(rows)
    assert [f.label for f in found] == ["stem", "b.*.fc1  x 2", "b.*.fc2  x 2", "7"]
    assert [f.ends("v") for f in found] == [(0,), (1, 3), (2, 4), (5,)]


def test_numbers_that_are_not_finite_are_null_and_never_drawn() -> None:
    diagnosis = made(one=math.nan)
    told = json.loads(json.dumps(diagnosis.to_json(), allow_nan=False))
    assert told["starts"][0]["found"]["x"]["numbers"] == {"one": None}
    (panel,) = panels(diagnosis, "x")
    assert panel.lines[0].points == ((1.0, 1.0),)
    assert [shown(v) for v in (math.nan, -math.inf, 0.0, 3.0, 0.00012345)] == ["-", "-inf", "0", "3", "0.000123"]


def test_a_curve_lies_where_its_places_are() -> None:
    shares = (-0.25, 0.0, 0.5, 1.25)
    line = Measurement("x", {}, "", "", (), (Series("loss", "share", (1.0, math.nan, 2.0, 3.0), places=shares),))
    (panel,) = panels(replace(made(), starts=[Diagnosed("a", "a", "random", {"x": line, "y": "no"})]), "x")
    assert panel.lines[0].points == ((-0.25, 1.0), (0.5, 2.0), (1.25, 3.0))
    assert across(panel) == (-0.25, 1.25, False)
    drawn = chart(panel, 760, 320)
    assert re.search(r'<text class="x" x="[\d.]+" y="292">-0\.2</text>', drawn)
    assert 'd="M66.0 ' in drawn  # the first point is at the left end
    (layers,) = panels(made(), "x")
    assert across(layers) == (1, 2, True)
    assert ">1.5<" not in chart(layers, 760, 320)


def test_the_report_keeps_capitals() -> None:
    told = {"x": {"paper": "P", "says": "the eigenvalue of the Hessian"}, "y": {"paper": "P", "says": "s"}}
    assert "The eigenvalue of the Hessian. P." in page(replace(made(), measures=told))
