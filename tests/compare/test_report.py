"""The report's files, the terminal's table and the card's evidence: the same numbers, and no markup from names."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.compare.races import PERPLEXITY, as_surprise, results, runs
from tests.conftest import Command
from weightgen.compare.evidence import escaped, evidence
from weightgen.compare.report import is_report, write_report
from weightgen.compare.report.chart import chart, falls_far
from weightgen.compare.report.page import flat
from weightgen.compare.text import results_text
from weightgen.errors import UsageError
from weightgen.publishing.report.axis import Axis
from weightgen.publishing.report.numbers import change, duration, number, operations, ratio

CLEAN = results(runs({"random": 1.0, "fast": 3.0, "slow": 0.4}, seeds=3))
BAD_NAME = "<img src=x> [a](b) |`$x^2$` \x1b[31m\n# \u7d50\u679c"
HOSTILE = results(
    as_surprise(runs({"random": 1.0, BAD_NAME: 2.0, "y" * 180: 0.5}, seeds=1)), PERPLEXITY, title=BAD_NAME
)


class Outline(HTMLParser):
    """Collects what could load something from elsewhere, and checks that elements close in order."""

    VOID = ("meta", "input", "br", "hr")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [v or "" for k, v in attrs if k in ("src", "href", "srcset", "data", "action", "xlink:href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_files(tmp_path: Path) -> None:
    write_report([CLEAN, HOSTILE], tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["curves.png", "report.html", "report.md"]
    with Image.open(tmp_path / "curves.png") as image:
        assert image.width >= 1000
        assert image.height > image.width  # two panels
    page = (tmp_path / "report.html").read_text()
    outline = Outline()
    outline.feed(page)
    assert outline.open == []
    assert outline.links
    assert all(link.startswith("#") for link in outline.links)
    assert not re.search(r"url\(|@import|fetch\(|https?://(?!www\.w3\.org)", page)


def test_page_without_scripts(tmp_path: Path) -> None:
    """Curves and table stand in the markup; the script only hides, shows and reads."""
    write_report([CLEAN], tmp_path)
    page = re.sub(r"<script.*?</script>", "", (tmp_path / "report.html").read_text(), flags=re.S)
    assert page.count('<svg class="chart"') == 4  # two widths, two scales
    assert page.count('class="series') == 4 * 3
    for start in CLEAN["starts"]:
        assert f"<strong>{start['name']}</strong>" in page
        assert number(start["test"]["value"]) in page
    assert page.index("What was found") < page.index("<svg") < page.index("<table")


def test_embedded_results(tmp_path: Path) -> None:
    write_report([HOSTILE], tmp_path)
    page = (tmp_path / "report.html").read_text()
    (embedded,) = re.findall(r'<script type="application/json" class="results">(.*?)</script>', page, re.S)
    assert json.loads(embedded) == HOSTILE
    assert not set("<>&") & set(embedded)


def test_a_killed_writer_leaves_a_report(tmp_path: Path) -> None:
    write_report([CLEAN], tmp_path)
    (tmp_path / ".report.html.0a1b2c3d").write_text("half")
    assert is_report(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    assert not is_report(tmp_path)


def test_markdown(tmp_path: Path) -> None:
    write_report([CLEAN, HOSTILE], tmp_path)
    text = (tmp_path / "report.md").read_text()
    assert "![Curves of all starts](curves.png)" in text
    assert "    weightgen compare --task digits --steps 1000" in text
    assert f"**fast**: {CLEAN['starts'][1]['sentence']}." in text
    assert "<img" not in text
    assert "\x1b" not in text
    assert "](b)" not in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in rows}) == 1  # a name adds no column


@pytest.mark.parametrize("race", [CLEAN, HOSTILE])
def test_terminal(race) -> None:
    text = results_text(race)
    assert max(map(len, text.splitlines())) <= 80
    assert all(line.isprintable() for line in text.splitlines())
    for start in race["starts"]:
        assert re.search(rf"\s{re.escape(number(start['test']['value']))}\s", text)


def test_evidence() -> None:
    text = evidence(CLEAN, "fast")
    assert text.startswith("## Evidence\n")
    assert "**fast**: reaches" in text
    assert "| fast | " in text
    assert "| random | " in text
    assert "slow" not in text
    assert "    weightgen compare" in text
    assert evidence(CLEAN, "random").count("| random |") == 1
    with pytest.raises(UsageError, match=r"no start 'fats' in this race\. Did you mean 'fast'"):
        evidence(CLEAN, "fats")


def test_one_mark_and_flat_curves(tmp_path: Path) -> None:
    still = [replace(r, marks=np.array([0]), curve=np.zeros((1, 5)), test=np.zeros(5)) for r in runs({"random": 1.0})]
    write_report([results(still, steps=0)], tmp_path)
    assert "nan" not in re.sub(r"<style.*?</style>", "", (tmp_path / "report.html").read_text(), flags=re.S).lower()


def test_axis_of_a_perplexity_that_falls_far() -> None:
    found = runs({"random": 1.0, "fast": 3.0}, seeds=1)
    assert not falls_far(results(found))  # an accuracy that rises from 0.01 is shown as it is
    steep = [replace(r, curve=6 * r.curve, test=6 * r.test) for r in as_surprise(found)]
    race = results(steep, PERPLEXITY)
    assert falls_far(race)
    labels = re.findall(r'class="y"[^>]*>([^<]*)<', chart(race, 760, 400, log=True))
    assert {"1000", "10000", "100000"} <= set(labels)


def test_many_starts_differ_in_colour_or_dashes(tmp_path: Path) -> None:
    race = results(runs({"random": 1.0, **{f"s{n}": 1.0 for n in range(40)}}, seeds=1, items=5))
    write_report([race], tmp_path)
    looks = re.findall(r'class="toggle (c\d d\d|base)"', (tmp_path / "report.html").read_text())
    assert len(looks) == len(set(looks)) == 41


def written(path: Path, race: object) -> Path:
    path.mkdir()
    (path / "results.json").write_text(json.dumps(race))
    return path


def test_command(command: Command, tmp_path: Path) -> None:
    one, two = written(tmp_path / "one", CLEAN), written(tmp_path / "two", HOSTILE)
    done = command("report", one, two)
    assert done.code == 0, done.err
    assert done.out.rstrip().endswith("report/report.html")
    assert max(map(len, done.out.splitlines())) <= 80
    assert {Path(p).name for p in done.left} == {"report", "report.html", "report.md", "curves.png"}
    again = command("report", one, "--json")
    assert json.loads(again.out)["races"] == [CLEAN]
    assert again.left == frozenset()
    assert "races of starts" not in (tmp_path / "report" / "report.html").read_text()


def test_command_replaces_reports_only(command: Command, tmp_path: Path) -> None:
    one = written(tmp_path / "one", CLEAN)
    command("report", one, "--out", one).refused(2, "one: holds other things than a report", "--force")
    (tmp_path / "file").write_text("")
    command("report", one, "--out", "file").refused(2, "file: is a file")
    forged = tmp_path / "forged"
    forged.mkdir()
    (forged / "report.html").write_text("my own page")
    command("report", one, "--out", "forged").refused(2, "forged: holds other things")
    assert (forged / "report.html").read_text() == "my own page"
    assert command("report", one, "--out", one, "--force", "--quiet").code == 0
    assert (one / "results.json").exists()


def test_command_refuses(command: Command, tmp_path: Path) -> None:
    command("report").refused(2, "RACES")
    command("report", "none").refused(3, "none: no such file")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "results.json").write_text('{"schema": 7}')
    command("report", "bad").refused(3, "schema 7, this weightgen reads 1")


def test_numbers() -> None:
    assert [number(v) for v in (0.7123, 12.0, 1234.5, -0.00123456, 1e7)] == [
        "0.712",
        "12.0",
        "1234",
        "-0.00123",
        "1.00e+07",
    ]
    assert [ratio(v) for v in (0, 0.234, 0.9996, 1, 1.04, 12.3, 1234.0)] == [
        "0",
        "0.23",
        "0.9996",
        "1.0",
        "1.04",
        "12",
        "1234",
    ]
    assert change(0.03, 0.0004, 0.06) == ("+0.0300", "+0.0004", "+0.0600")
    assert change(0, -0.01, 0.012) == ("0", "-0.010", "+0.012")
    assert change(-529, -693.2, 0) == ("-529", "-693", "0")
    assert [operations(v) for v in (0, 1.5e12, 2e21)] == ["0 FLOP", "1.5 TFLOP", "2e+03 EFLOP"]
    assert [duration(v) for v in (0.123, 12.6, 90, 7500)] == ["0.12 s", "13 s", "2 min", "2 h 05 min"]


def test_escaped() -> None:
    assert escaped("a|b") == "a&#124;b"
    assert escaped("see http://x.y") == "see http&#58;//x.y"
    assert escaped("in 0.3x the steps (95 %, 5 seeds); +0.1") == "in 0.3x the steps (95 %, 5 seeds); +0.1"


def test_axes() -> None:
    steps = Axis(0, 1000, 0, 300, log=True, offset=1)
    assert steps.ticks(5) == [0, 1, 10, 100, 1000]
    assert [steps.at(v) for v in (0, 1000, 5000)] == [0, 300, 300]
    assert steps.at(1) == pytest.approx(300 * math.log(2) / math.log(1001))
    assert Axis(0, 1, 0, 1).ticks(7) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert 2 <= len(Axis(31.0, 47.0, 0, 1, log=True).ticks(5)) <= 5  # no power of ten within
    assert len(Axis(1, 1e130, 0, 1, log=True).ticks(5)) <= 6
    assert Axis(3, 3, 0, 10).at(3) == 0


def test_lineage_is_laid_out_leaf_by_leaf() -> None:
    data = {"source": {"sha256": "ab"}, "nonfinite": {}, "kept": [1, 2], "recipe": "stage: subclone\nsrc: a\n"}
    expected = [("source.sha256", "ab"), ("kept", "1, 2"), ("recipe", "stage: subclone\nsrc: a\n")]
    assert list(flat(data)) == expected
    assert list(flat({})) == []
