"""The report of a diagnosis: its text, its page, its curves."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

from PIL import Image

from tests.commands.test_diagnose import VIT
from tests.conftest import Command
from weightgen import load_recipe, run_recipe
from weightgen.diagnostics.diagnosis import Diagnosed, Diagnosis
from weightgen.diagnostics.layers import fold
from weightgen.diagnostics.measure import Measurement, Row, Series
from weightgen.diagnostics.report.chart import chart
from weightgen.diagnostics.report.page import page
from weightgen.diagnostics.report.panels import across, panels
from weightgen.diagnostics.text import diagnosis_text, shown


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
