"""The report in a real browser: it works, fits, tells the numbers of results.json, and executes no name."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.compare.browser import BINARY, visit
from tests.compare.races import PERPLEXITY, as_surprise, results, runs
from weightgen.compare.report import write_report
from weightgen.compare.schema import Results

pytestmark = pytest.mark.skipif(BINARY is None, reason="needs Chromium")

HOSTILE = {
    "random": 1.0,
    "<img src=x onerror=\"document.title='hacked'\">": 2.0,
    "</script><script>document.title='hacked'</script>": 0.5,
    "<!--<script>": 1.0,
    "x" * 150: 1.0,
    "\u202emilano {{ 7*7 }} 'quoted\" &amp;": 1.5,
}
WIDTHS = """
note("inner", innerWidth);
note("page", document.documentElement.scrollWidth);
"""


def reported(directory: Path, *races: Results) -> Path:
    write_report(races, directory)
    return directory / "report.html"


@pytest.fixture(scope="module")
def clean() -> Results:
    return results(runs({"random": 1.0, "fast": 3.0, "slow": 0.4}))


@pytest.fixture(scope="module")
def hostile() -> Results:
    found = as_surprise(runs(HOSTILE, seeds=2))
    return results(found, PERPLEXITY, title="<script>document.title='hacked'</script>", command="</pre><b>" + "y" * 300)


@pytest.mark.parametrize("width", [360, 1280])
def test_numbers_and_layout(clean: Results, hostile: Results, width: int, tmp_path: Path) -> None:
    probe = """
    note("cells", $$("tbody tr").map((row) => Object.fromEntries([["name", row.querySelector("th").textContent],
      ...[...row.querySelectorAll("td")].map((cell) => [cell.dataset.column, cell.querySelector("data")?.value])])));
    note("shown", $$(".chart").filter((c) => c.getBoundingClientRect().width > 0)
      .map((c) => c.parentElement.className));
    note("small", $$("button, input").filter((b) => b.getBoundingClientRect().height < 24).length);
    """
    seen = visit(reported(tmp_path, clean, hostile), WIDTHS + probe, width, tmp_path)
    assert seen.console == []
    assert "errors" not in seen.found
    assert seen.found["inner"] == width
    assert seen.found["page"] <= width
    assert seen.found["shown"] == (["wide log"] * 2 if width == 1280 else ["narrow log"] * 2)
    assert seen.found["small"] == 0
    starts = [*clean["starts"], *hostile["starts"]]
    assert [row["name"] for row in seen.found["cells"]] == [s["name"] for s in starts]
    for row, start in zip(seen.found["cells"], starts, strict=True):
        _check_row(row, start)


def _check_row(row: dict[str, Any], start: Any) -> None:
    expected = {word: start["milestones"][word]["value"] for word in ("0", "1 %", "10 %", "100 %")}
    expected |= {"test": start["test"]["value"], "learning_rate": start["learning_rate"], "seconds": start["seconds"]}
    if start["difference"] is not None:
        expected |= {"difference": start["difference"]["value"], "speedup": start["speedup"]["value"]}
        expected |= {"speedup_best": start["speedup_best"]["value"]}
    for word, value in expected.items():
        assert (None if row.get(word) is None else float(row[word])) == value, word


def test_controls(clean: Results, tmp_path: Path) -> None:
    probe = """
    const drawn = () => $$("[data-series]").filter((s) => s.getClientRects().length).map((s) => s.dataset.series);
    const read = () => document.querySelector("output").innerText;
    const range = document.querySelector("input[type=range]");
    note("before", drawn());
    note("last", read());
    const button = document.querySelector('[data-toggle="1"]');
    button.focus();
    note("focused", document.activeElement === button);
    button.click();
    note("hidden", [drawn(), button.getAttribute("aria-pressed"), read()]);
    button.click();
    note("again", [drawn(), button.getAttribute("aria-pressed")]);
    range.value = 3;
    range.dispatchEvent(new Event("input"));
    note("third", [read(), range.getAttribute("aria-valuetext")]);
    const chart = document.querySelector(".wide.log .chart");
    const box = chart.getBoundingClientRect();
    const place = { clientX: box.left + box.width * 0.09, clientY: box.top + 50 };
    chart.dispatchEvent(new PointerEvent("pointermove", place));
    note("hover", read());
    document.querySelector(".scale").click();
    note("linear", $$(".chart").filter((c) => c.getClientRects().length).map((c) => c.parentElement.className));
    note("cursor", document.querySelector(".wide.linear .cursor").getAttribute("transform"));
    """
    found = visit(reported(tmp_path, clean), probe, 1280, tmp_path).found
    assert found["before"] == found["again"][0] == ["0", "1", "2"]
    assert found["focused"] is True
    shown, pressed, text = found["hidden"]
    assert (shown, pressed) == (["0", "2"], "false")
    assert "fast" not in text
    curve = clean["starts"][1]["curve"]
    assert "Step 1000" in found["last"]
    assert f"fast: {curve['mean'][-1]:.3g}" in found["last"]
    assert found["third"][1] == "step 40"
    assert f"fast: {curve['mean'][3]:#.3g} ({curve['low'][3]:#.3g} to {curve['high'][3]:#.3g})" in found["third"][0]
    assert found["hover"].startswith("Step 0")
    assert found["linear"] == ["wide linear"]
    assert found["cursor"] == "translate(58 0)"


def test_hostile_names_do_not_execute(hostile: Results, tmp_path: Path) -> None:
    probe = """
    note("title", document.title);
    note("images", $$("img, b, iframe").length);
    note("scripts", $$("script").length);
    note("data", JSON.parse(document.querySelector("script.results").textContent));
    note("legend", $$(".toggle").map((b) => b.textContent));
    $$(".toggle").forEach((b) => b.click());
    $$(".toggle").forEach((b) => b.click());
    note("after", [document.title, $$("img, b, iframe").length]);
    """
    seen = visit(reported(tmp_path, hostile), probe, 1280, tmp_path)
    assert seen.console == []
    assert seen.found["title"] == seen.found["after"][0] == hostile["title"]
    assert seen.found["images"] == seen.found["after"][1] == 0
    assert seen.found["scripts"] == 3  # the probe, the data, the page's own
    assert seen.found["data"] == hostile
    assert seen.found["legend"] == list(HOSTILE)


def test_accessible_names(clean: Results, tmp_path: Path) -> None:
    probe = """
    note("landmarks", ["header", "main", "footer"].map((word) => $$(word).length));
    note("headings", $$("h1, h2, h3, h4").map((h) => +h.tagName[1]));
    note("ids", $$("[id]").map((e) => e.id));
    note("named", $$("[aria-labelledby]").every((e) => document.getElementById(e.getAttribute("aria-labelledby"))));
    note("scopes", $$("table th").every((h) => h.scope));
    note("captions", $$("table").every((t) => t.caption?.textContent.length > 20));
    note("charts", $$("svg:not([aria-hidden])").map((c) => c.getAttribute("aria-label")));
    note("label", document.querySelector("input").labels.length);
    """
    found = visit(reported(tmp_path, clean), probe, 1280, tmp_path).found
    assert found["landmarks"] == [1, 1, 1]
    levels = found["headings"]
    assert levels[0] == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))
    assert len(set(found["ids"])) == len(found["ids"])
    assert found["named"] is found["scopes"] is found["captions"] is True
    assert all("fast from" in label for label in found["charts"])
    assert found["label"] == 1


@pytest.mark.parametrize("dark", [False, True])
def test_contrast(clean: Results, dark: bool, tmp_path: Path) -> None:
    probe = """
    note("dark", matchMedia("(prefers-color-scheme: dark)").matches);
    const style = getComputedStyle(document.documentElement);
    const luminance = (name) => style.getPropertyValue(name).trim().match(/[0-9a-f]{2}/g)
      .map((v) => parseInt(v, 16) / 255).map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
      .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const contrast = (a, b) => {
      const [high, low] = [luminance(a), luminance(b)].sort((p, q) => q - p);
      return (high + 0.05) / (low + 0.05);
    };
    note("text", ["--ink", "--soft", "--link"].flatMap((n) => ["--paper", "--panel"].map((b) => contrast(n, b))));
    note("lines", ["--base", ...[0, 1, 2, 3, 4, 5, 6, 7].map((i) => `--c${i}`)].map((n) => contrast(n, "--paper")));
    """
    found = visit(reported(tmp_path, clean), probe, 1280, tmp_path, dark).found
    assert found["dark"] is dark
    assert min(found["text"]) >= 4.5  # WCAG 2.2, 1.4.3 and 1.4.11
    assert min(found["lines"]) >= 3
