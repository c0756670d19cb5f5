"""Results of strangers: numbers that nothing can draw are refused, and no text in them is seen or obeyed."""

from __future__ import annotations

import copy
import json
import math
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from tests.compare.races import results, runs
from tests.conftest import Command
from weightgen.compare.schema import LARGEST
from weightgen.diagnostics.diagnosis import Diagnosed, Diagnosis
from weightgen.diagnostics.measure import Measurement, Row, Series
from weightgen.diagnostics.report.page import page

RACE: Any = results(runs({"random": 1.0, "fast": 3.0}, seeds=2, items=10))
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
RACE["pictures"] = [
    {"signal": "s", "start": start, "step": step, "score": 0.5, "size": 1, "png": PIXEL}
    for start in ("random", "fast", "truth")
    for step in (0, 10)
]
FREE = ("lineage", "environment")  # which may hold anything, and are shown as text
HOSTILE = "\x1b[31m\u202egpj</script>\u2028<img src=x>\x9b\u200b\r\x00\ufeff&\"'"


def leaves(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield where values stand; of the parts of a list, the last."""
    if isinstance(data, dict):
        for key, value in data.items():
            yield from leaves(value, (*path, key))
    elif isinstance(data, list):
        yield from leaves(data[-1], (*path, len(data) - 1)) if data else ()
    else:
        yield path


def at(data: Any, path: tuple[Any, ...]) -> Any:
    for part in path:
        data = data[part]
    return data


def put(data: Any, path: tuple[Any, ...], value: Any) -> Any:
    made = copy.deepcopy(data)
    at(made, path[:-1])[path[-1]] = value
    return made


def write(folder: Path, data: Any) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "results.json").write_text(json.dumps(data))
    return folder


NUMBERS = [p for p in leaves(RACE) if type(at(RACE, p)) in (int, float) and not set(FREE) & set(p)]


def test_every_kind_of_number_is_looked_at() -> None:
    named = {str([part for part in path if isinstance(part, str)][-1]) for path in NUMBERS}
    expected = {"mean", "low", "high", "seeds", "value", "score", "learning_rate", "flops_making", "seconds", "steps"}
    assert named >= expected | {"flops_per_step", "level", "draws", "batch_size", "size", "step"}


@pytest.mark.parametrize("value", [1e308, -1e308, 2 * LARGEST])
def test_numbers_that_nothing_can_draw_are_refused(command: Command, tmp_path: Path, value: float) -> None:
    for path in NUMBERS:
        write(tmp_path / "race", put(RACE, path, value))
        outcome = command("report", "race", "--out", "out")
        outcome.refused(3, "race/results.json: ", str(path[0] if path[0] != "starts" else path[2]))


@pytest.mark.parametrize("value", [math.nan, math.inf, "0.5", [], True])
def test_what_is_no_number_is_refused(command: Command, tmp_path: Path, value: Any) -> None:
    for path in (p for p in NUMBERS if p != ("schema",)):  # which may be true, as 1 is
        write(tmp_path / "race", put(RACE, path, value))
        command("report", "race", "--out", "out").refused(3, "race/results.json: ")


@pytest.mark.parametrize("value", [LARGEST, -LARGEST, 1e-320, 0.0, -0.0])
def test_the_largest_numbers_that_are_read_can_be_drawn(command: Command, tmp_path: Path, value: float) -> None:
    """All of them at once, and each curve from one end to the other."""
    race = copy.deepcopy(RACE)
    for start in race["starts"]:
        curve = start["curve"]
        for line in (curve["mean"], curve["low"], curve["high"], *curve["seeds"], start["test"]["seeds"]):
            line[:] = [value * (-1) ** i for i in range(len(line))]
        for part in (start["test"], *start["milestones"].values(), start["difference"] or {}):
            part |= dict.fromkeys(("value", "low", "high"), value)
        for name in ("flops_making", "flops_per_step", "seconds"):
            start[name] = abs(value)
    write(tmp_path / "race", race)
    outcome = command("report", "race", "--out", "out")
    assert outcome.code == 0, outcome.err
    shown = re.sub(r"<(style|script).*?</\1>", "", (tmp_path / "out" / "report.html").read_text(), flags=re.S)
    assert not re.search(r"\b(nan|inf|infinity)\b", shown, re.I)


def test_a_number_stays_with_its_sign(command: Command, tmp_path: Path) -> None:
    write(tmp_path / "race", RACE)
    assert command("report", "race", "--out", "out").code == 0
    shown = (tmp_path / "out" / "report.html").read_text()
    assert "95\xa0%" in shown
    assert r"\xa0" not in shown


class Seen(HTMLParser):
    """What a page shows and speaks: texts and attributes, with the data for its script apart."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.spoken: list[str] = []
        self.tags: list[str] = []
        self.data = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.texts += [value or "" for _, value in attrs]
        self.spoken += [value or "" for name, value in attrs if name == "aria-label"]

    def handle_data(self, data: str) -> None:
        if self.tags[-1:] == ["script"] and data.startswith("{"):
            self.data = data
        self.texts.append(data)


def looked_at(text: str) -> Seen:
    """Assert that no character of a page is one that cannot be seen, spelt out or as a reference."""
    seen = Seen()
    seen.feed(text)
    for part in (text, *seen.texts):
        assert all(c.isprintable() or c in "\n\xa0" for c in part), repr(part[:300])
    return seen


TEXTS = [p for p in leaves(RACE) if isinstance(at(RACE, p), str) and p[-1] not in ("png", "kind", "over")]


@pytest.fixture(scope="module")
def hostile() -> Any:
    """Results with a hostile text for each one that is free, as far as its length allows."""
    race = copy.deepcopy(RACE)
    names = {"random": f"r {HOSTILE}", "fast": f"f {HOSTILE}", "truth": f"t {HOSTILE}"}
    for start in race["starts"]:
        start |= {"name": names[start["name"]], "text": HOSTILE, "sentence": HOSTILE}
        start["lineage"] = {HOSTILE: HOSTILE, "more": [{HOSTILE: [HOSTILE]}], "recipe": f"a: 1\n{HOSTILE}"}
    for picture in race["pictures"]:
        picture |= {"signal": HOSTILE, "start": names[picture["start"]]}
    race["task"] |= {"name": HOSTILE, "data": HOSTILE}
    race["task"]["metric"]["name"] = HOSTILE
    race |= {"title": HOSTILE, "baseline": names["random"], "created_by": HOSTILE, "command": HOSTILE}
    race |= {"recipe": HOSTILE, "environment": {HOSTILE: HOSTILE}}
    assert {at(race, p) for p in leaves(race) if p in TEXTS and not set(FREE) & set(p)} <= {
        HOSTILE,
        *names.values(),
    }
    return race


def test_no_text_is_obeyed_or_hidden(command: Command, tmp_path: Path, hostile: Any) -> None:
    write(tmp_path / "race", hostile)
    for races in (["race"], ["race", "race"]):
        outcome = command("report", *races, "--out", "out")
        assert outcome.code == 0, outcome.err
        for text in (outcome.out, (tmp_path / "out" / "report.md").read_text()):
            assert all(c.isprintable() or c == "\n" for c in text), repr(text[:300])
        seen = looked_at((tmp_path / "out" / "report.html").read_text())
        assert seen.tags.count("script") == 1 + len(races)
        charts = [label for label in seen.spoken if r"\x1b[31m\u202egpj" in label]
        assert len(charts) >= 4 * len(races)  # two widths, two scales
        assert all(r"r \x1b[31m\u202egpj" in label for label in charts[:4])
        assert json.loads(seen.data) == {key: value for key, value in hostile.items() if key != "pictures"}


def test_a_diagnosis_hides_nothing_either() -> None:
    rows = (Row(f"blocks.0.{HOSTILE}", {HOSTILE: 0.5}), Row("blocks.1", {"share": 0.5}))
    series = (Series(HOSTILE, HOSTILE, (1.0, 0.5, 0.2)),)
    found = Measurement("x", {HOSTILE: 1.0}, HOSTILE, HOSTILE, rows, series)
    starts = [Diagnosed(f"{i} {HOSTILE}", "random", HOSTILE, {"x": found, "y": HOSTILE}) for i in range(2)]
    told = {"paper": HOSTILE, "says": HOSTILE}
    diagnosis = Diagnosis(HOSTILE, HOSTILE, {"x": told, "y": told}, starts, f"a: 1\n{HOSTILE}", {"device": HOSTILE})
    seen = looked_at(page(diagnosis))
    assert "script" not in seen.tags
    assert any(r"0 \x1b[31m\u202egpj" in label for label in seen.spoken)
