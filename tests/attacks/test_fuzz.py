"""Some hundred cases of the fuzzer; `make fuzz` runs thousands."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from tests.attacks.fuzz.changes import change_bytes, digest
from tests.attacks.fuzz.child import Ended
from tests.attacks.fuzz.contract import problems
from tests.attacks.fuzz.odd import change_json, change_words
from tests.conftest import Command

CASES = 300
GOOD = Ended(3, "", "error: a: is no file", 0.1, 1000, False)


def test_no_case_breaks_the_contract() -> None:
    words = [sys.executable, "-m", "tests.attacks.fuzz", "--cases", str(CASES), "--workers", "2"]
    done = subprocess.run(words, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert f"{CASES} cases of" in done.stdout


@pytest.mark.parametrize(
    "changes, expected",
    [
        ({}, []),
        ({"code": 70, "fault": "Traceback"}, ["fault"]),
        ({"code": -11}, ["ended with -11"]),
        ({"err": "Traceback (most recent call last)\nerror: a"}, ["traceback"]),
        ({"err": "error: a\nb\nc\nd"}, ["says more than three lines"]),
        ({"err": "a"}, ["says no error"]),
        ({"err": "error: \x1b[2J"}, ["says what cannot be printed"]),
        ({"interrupted": True}, ["hangs"]),
        ({"interrupted": True, "code": 130}, ["slow"]),
        ({"seconds": 100.0}, ["slow"]),
        ({"bytes": 3 << 30}, ["takes 3072 MiB"]),
    ],
)
def test_what_breaks_it(tmp_path: Path, changes: dict[str, object], expected: list[str]) -> None:
    ended = Ended(**{**vars(GOOD), **changes})  # type: ignore[arg-type]
    assert list(problems(ended, tmp_path, frozenset(), False)) == expected


def test_what_is_left_behind_breaks_it(command: Command, tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "config.json").write_text("{}")
    assert list(problems(GOOD, tmp_path, frozenset(), False)) == ["leaves 'made'"]
    done = Ended(**{**vars(GOOD), "code": 0})
    assert list(problems(done, tmp_path, frozenset(), False)) == ["leaves a directory without a manifest"]
    assert list(problems(done, tmp_path, frozenset({"made"}), False)) == []
    words = ("init", "--model", "translator", "--model-args", "width=4", "--method", "zero", "--out", "start")
    assert command(*words).code == 0
    assert list(problems(done, tmp_path, frozenset({"made"}), False)) == []
    (tmp_path / "start" / "config.json").write_text("{")
    assert "does not verify" in next(problems(done, tmp_path, frozenset({"made"}), False))


def test_changes_follow_their_seed(tmp_path: Path) -> None:
    raw = json.dumps({"a": 1, "b": [1.5, "x"], "c": {"d": None}}).encode()
    words = ("train", "--steps", "1", "--model-args", "a=1,b=2")
    for change in (lambda d: change_bytes(d, raw), lambda d: change_json(d, raw)):
        made = [change(Random(seed)) for seed in range(40)]
        assert made == [change(Random(seed)) for seed in range(40)]
        assert len(set(made)) > 20
    lines = [change_words(Random(seed), words, frozenset({"--steps"})) for seed in range(40)]
    assert all(line[0] == "train" and line[line.index("--steps") + 1] == "1" for line in lines)
    assert len({tuple(line) for line in lines}) > 20
    (tmp_path / "a").write_text("1")
    before = digest(tmp_path)
    os.symlink("a", tmp_path / "b")
    assert digest(tmp_path) != before
