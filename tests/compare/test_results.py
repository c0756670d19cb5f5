"""results.json: what is assembled can be read again, and nothing else can."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.compare.races import results, runs
from weightgen.compare.results import MAX_BYTES, read_results
from weightgen.errors import InputError

RACE = results(runs({"random": 1.0, "fast": 3.0}, seeds=2, items=20))


def written(path: Path, data: Any) -> Path:
    path.mkdir()
    (path / "results.json").write_text(json.dumps(data), encoding="utf-8")
    return path


def test_what_is_written_is_read(tmp_path: Path) -> None:
    directory = written(tmp_path / "race", RACE)
    assert read_results(directory) == RACE
    assert read_results(directory / "results.json") == RACE


def test_fields() -> None:
    assert (RACE["schema"], RACE["baseline"], RACE["budget"]["seeds"]) == (1, "random", 2)
    random, fast = RACE["starts"]
    assert random["difference"] is None
    assert fast["flops_per_step"] == pytest.approx(1e12 / 1000)
    assert fast["seconds"] == 12.5
    assert len(fast["curve"]["seeds"]) == len(fast["test"]["seeds"]) == 2
    assert fast["test"]["value"] == pytest.approx(sum(fast["test"]["seeds"]) / 2)
    for line in (fast["curve"], random["curve"]):
        assert all(a <= b <= c for a, b, c in zip(line["low"], line["mean"], line["high"], strict=True))


def _drop(data: Any) -> None:
    del data["starts"][1]["test"]["low"]


def _word(data: Any) -> None:
    data["starts"][0]["milestones"]["1 %"]["value"] = "0.5"


def _unknown(data: Any) -> None:
    data["starts"][0]["\x1b[31mred"] = 1


def _shorter(data: Any) -> None:
    data["starts"][0]["curve"]["mean"].pop()


def _falling(data: Any) -> None:
    data["starts"][0]["curve"]["steps"][2] = 5


def _twice(data: Any) -> None:
    data["starts"][1]["name"] = "random"


def _baseline(data: Any) -> None:
    data["baseline"] = "none"


def _no_difference(data: Any) -> None:
    data["starts"][1]["difference"] = None


def _both(data: Any) -> None:
    data["starts"][1]["speedup"]["at_most"] = 1.0


def _newer(data: Any) -> None:
    data["schema"] = 2


@pytest.mark.parametrize(
    "change, message",
    [
        (_drop, r"starts\.1\.test\.low: Field required"),
        (_word, r"starts\.0\.milestones\.1 %\.value: Input should be a valid number"),
        (_unknown, r"starts\.0\.\\x1b\[31mred: Extra inputs"),
        (_shorter, r"start 'random': the curve must have one value per mark and seed"),
        (_falling, r"start 'random': the marks of the curve must rise from 0"),
        (_twice, "the names of the starts must differ"),
        (_baseline, "the baseline be one of them"),
        (_no_difference, "every start but the baseline has a difference"),
        (_both, "speedup has either a value or at_most"),
        (_newer, "schema 2, this weightgen reads 1"),
    ],
)
def test_refused(tmp_path: Path, change: Callable[[Any], None], message: str) -> None:
    data = copy.deepcopy(RACE)
    change(data)
    with pytest.raises(InputError, match=message) as refused:
        read_results(written(tmp_path / "race", data))
    assert "race/results.json: " in str(refused.value)
    assert len(str(refused.value)) < 600


@pytest.mark.parametrize(
    "text, message",
    [
        ("[]", "expected the results of a race"),
        ('{"schema": 1', "not valid JSON"),
        ('{"schema": 1, "schema": 1}', "occurs twice"),
        ('{"schema": NaN}', "NaN is not JSON"),
        ("[" * 100_000, "not valid JSON"),
        ('{"schema": 1}', "created_by: Field required"),
    ],
)
def test_not_results(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "results.json").write_text(text)
    with pytest.raises(InputError, match=message):
        read_results(tmp_path)


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "results.json").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(InputError, match="more than the"):
        read_results(tmp_path)


def test_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"results\.json: no such file"):
        read_results(tmp_path)


def test_starts_and_runs_must_belong_together() -> None:
    from weightgen.compare.results import RaceInfo, StartInfo, assemble
    from weightgen.training.task import Metric

    race = RaceInfo("t", "task", "data", Metric("accuracy", True), 1000, 8, "random", "", "")
    with pytest.raises(ValueError, match="runs of fast, random, but starts random"):
        assemble(runs({"random": 1.0, "fast": 2.0}), [StartInfo("random", "random", "random", 1e-3)], race, draws=50)
