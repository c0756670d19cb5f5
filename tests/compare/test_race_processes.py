"""Races on several processes: stopped, killed, and which rates and marks they take."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from tests.compare.test_race import COMPARE, _threads, start
from weightgen.compare.jobs import marks_of
from weightgen.compare.rates import best_rate, next_rate
from weightgen.recipe import CompareRecipe, make_recipe

__all__ = ["_threads", "start"]


@contextmanager
def racing(tmp_path: Path, start: Path) -> Iterator[subprocess.Popen[str]]:
    """A race of two workers in a process group of its own, which does not outlive the test."""
    command = [sys.executable, "-m", "weightgen", *COMPARE, "--start", str(start), "--start", "random", "--seeds", "1"]
    command += ["--out", str(tmp_path / "race"), "--steps", "4000", "--save-every", "20", "--workers", "2"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True, start_new_session=True)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def _wait_for(found: Any, seconds: float = 180) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = found()
        if value:
            return value
        time.sleep(0.1)
    raise AssertionError("waited in vain")


def test_workers_save_on_ctrl_c_and_a_killed_one_is_told(tmp_path: Path, start: Path) -> None:
    """Two workers: Ctrl-C to the whole group as a terminal sends it, then the same race with a worker killed."""
    with racing(tmp_path, start) as process:
        _wait_for(lambda: len(list(tmp_path.rglob("states/step-*/manifest.json"))) >= 2)
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=180)
    assert process.returncode == 130, err
    assert "The same command goes on from there" in err
    assert "Traceback" not in err
    saved = [json.loads(p.read_text())["step"] for p in tmp_path.rglob("states/step-*/manifest.json")]
    assert any(step % 20 for step in saved), "nothing was saved at the interruption itself"

    with racing(tmp_path, start) as process:
        workers = _wait_for(
            lambda: [c for c in psutil.Process(process.pid).children() if "spawn_main" in " ".join(c.cmdline())]
        )
        workers[0].kill()
        _, err = process.communicate(timeout=180)
    assert process.returncode == 3, err
    assert "a worker process was killed" in err
    assert "Traceback" not in err


def test_learning_rates_are_searched_around_the_best() -> None:
    assert next_rate({}, 1e-3) == 1e-3
    assert next_rate({1e-3: 0.5}, 1e-3) == 3.16e-3
    assert next_rate({1e-3: 0.5, 3.16e-3: 0.4}, 1e-3) == 3.16e-4
    assert next_rate({1e-3: 0.5, 3.16e-3: 0.6}, 1e-3) == 9.99e-3
    assert next_rate({3.16e-4: 0.1, 1e-3: 0.5, 3.16e-3: 0.4}, 1e-3) == 1.78e-3
    assert next_rate({1e-3: -np.inf, 3.16e-3: -np.inf}, 1e-3) == 3.16e-4
    assert best_rate({1e-3: 0.5, 3e-3: 0.5, 1e-2: 0.1}) == 1e-3


@pytest.mark.parametrize("steps", [1, 7, 100, 12345])
def test_marks_include_what_the_report_shows(steps: int) -> None:
    recipe = make_recipe(CompareRecipe, {"task": "classify", "start": ["a", "b"], "steps": steps})
    marks = marks_of(recipe, steps)
    assert {0, steps, round(steps / 100), round(steps / 10)} <= set(marks)
    assert len(marks) <= recipe.marks + 4
    assert marks == tuple(sorted(set(marks)))
    longer = marks_of(recipe, 3 * steps)
    assert longer[: len(marks)] == marks
    assert longer[-1] == 3 * steps
