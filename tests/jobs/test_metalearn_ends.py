"""How learning a start ends: diverged, on two processes, by a recipe."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.conftest import Command
from tests.inr.small_start import COMMON, FIELD, INNER, LEARN, here, made
from weightgen.inr.start import load_start

__all__ = ["here", "made"]


def test_learning_that_diverges_keeps_what_was_learned(
    command: Command, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from weightgen.training import loop as training

    step = training._Loop._train_step

    def breaking(self: Any, *arguments: Any) -> bool:
        found = step(self, *arguments)
        if self.step == 7:
            self.loss_sum = self.loss_sum * float("nan")
        return found

    monkeypatch.setattr(training._Loop, "_train_step", breaking)
    words = (*COMMON, *FIELD, *INNER, "--steps", "30", "--trials", "0")
    outcome = command(*words, "--save-every", "2", "--out", "other")
    assert outcome.code == 1
    assert "not finite at step 7: what was learned by step 6 is kept, published in other" in outcome.err
    assert command("verify", "other").code == 0
    assert load_start(here / "other").inner_steps == 2
    nothing = command(*words, "--save-every", "100", "--out", "nothing")
    assert nothing.code == 1
    assert "the loss was not finite at step 7" in nothing.err
    assert "Try a lower --inner-rate or --lr." in nothing.err
    assert not list(here.glob("nothing*"))


def test_learning_that_ends_nowhere_is_not_published(command: Command, here: Path) -> None:
    words = (
        *COMMON,
        *FIELD,
        *INNER,
        "--steps",
        "3",
        "--trials",
        "0",
        "--warmup",
        "0",
        "--lr",
        "1e30",
        "--save-every",
        "1",
    )
    outcome = command(*words, "--out", "other")
    assert outcome.code == 1
    assert "Try a lower --inner-rate or --lr" in outcome.err
    assert not (here / "other").exists()


def test_a_budget_has_a_step(command: Command, here: Path) -> None:
    command("metalearn", "pictures", "--budget", "0", "--out", "none").refused(2, "--budget")


def test_two_processes_learn_what_one_learns(here: Path) -> None:
    """Tasks are spread over processes: the mean of their meta-gradients is that of all."""
    sizes = ("--field-args", "hidden=24,hidden_layers=2", "--batch-size", "4")
    words = ("-m", "weightgen", *COMMON, *sizes, "--steps", "3", "--trials", "0", "--out")
    # The launcher's own free port: one that a test looks for may be taken before it is used.
    launcher = ("-m", "torch.distributed.run", "--nproc_per_node=2", "--standalone")
    for launch, out in (((), "one"), (launcher, "two")):
        done = subprocess.run([sys.executable, *launch, *words, out], cwd=here, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("wrote") == 1
    one, two = (load_file(here / out / "model.safetensors") for out in ("one", "two"))
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-3, atol=1e-5)


def test_recipes_say_the_same(command: Command, here: Path) -> None:
    printed = command(*LEARN, "--print-recipe").out
    (here / "recipe.yaml").write_text(printed)
    assert command("run", "recipe.yaml", "--out", "by-recipe").code == 0
    assert (here / "by-recipe" / "model.safetensors").read_bytes() == (
        here / "start" / "model.safetensors"
    ).read_bytes()
    printed = command("fit", "start", "pictures/p1.png", "--steps", "3", "--print-recipe").out
    (here / "recipe.yaml").write_text(printed)
    assert command("run", "recipe.yaml", "--out", "fits").code == 0
    assert (here / "fits" / "config.json").exists()
