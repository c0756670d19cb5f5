"""Gradient noise: its schedule, its seed, and that it comes after clipping."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.conftest import Command
from tests.training.small_task import Regression, network, settings
from weightgen.models.masks import Mask
from weightgen.training.gradient_noise import STEPS, add_noise, deviation
from weightgen.training.loop import train

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("eta", [0.01, 0.3, 1.0])
def test_the_variance_follows_the_schedule(eta: float) -> None:
    assert deviation(0, eta) ** 2 == pytest.approx(eta)
    assert deviation(99, eta) ** 2 == pytest.approx(eta / 100**0.55)
    weight = torch.nn.Parameter(torch.zeros(200, 500))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    add_noise(optimizer, eta, seed=0)
    for step in range(3):
        before = weight.detach().clone()
        weight.grad = torch.zeros_like(weight)
        optimizer.step()
        variance = float((weight.detach() - before).var())
        assert variance == pytest.approx(eta / (1 + step) ** 0.55, rel=0.02)
        if eta < 1:  # the mistake of reading the formula as a deviation
            assert abs(variance - (eta / (1 + step) ** 0.55) ** 2) > 0.1 * variance
    assert optimizer.param_groups[0][STEPS] == 3


def test_noise_is_of_seed_and_step_alone() -> None:
    def draw(seed: int, steps: int) -> list[torch.Tensor]:
        weight = torch.nn.Parameter(torch.zeros(5))
        optimizer = torch.optim.SGD([weight], lr=1.0)
        add_noise(optimizer, 1.0, seed)
        found = []
        for _ in range(steps):
            weight.grad = torch.zeros(5)
            optimizer.step()
            found.append(weight.grad.clone())
        return found

    torch.manual_seed(0)
    first, again, other = draw(1, 2), draw(1, 2), draw(2, 1)
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first[0], other[0])


def test_a_resumed_run_draws_on(tmp_path: Path) -> None:
    how = settings(gradient_noise=0.3)
    whole = train(network(), Regression(), how)
    assert not np.array_equal(whole.curve[-1], train(network(), Regression(), settings()).curve[-1])
    train(network(), Regression(), how, tmp_path)  # leaves the state of step 30
    assert np.array_equal(train(network(), Regression(), how, tmp_path).curve, whole.curve)


def test_noise_is_not_clipped(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[float] = []
    step = torch.optim.SGD.step

    def seen(self: Any, *arguments: Any, **options: Any) -> Any:
        gradients = [p.grad for g in self.param_groups for p in g["params"]]
        sizes.append(float(torch.stack([g.norm() for g in gradients]).norm()))
        return step(self, *arguments, **options)

    class Plain(Regression):
        def optimizer(self, model: torch.nn.Module, settings: Any) -> torch.optim.Optimizer:
            made = torch.optim.SGD(model.parameters(), lr=1e-9)
            add_noise(made, 1.0, 0)
            return made

    monkeypatch.setattr(torch.optim.SGD, "step", seen)
    train(network(), Plain(), settings(steps=2, marks=(), clip=1e-3, ema=0.0))
    assert len(sizes) == 2
    assert min(sizes) > 5


def test_masked_entries_get_none() -> None:
    model, kept = network(), torch.rand(16, 8, generator=torch.Generator().manual_seed(0)) < 0.5
    Mask({"0.weight": kept}).hold_(model)
    trained = train(model, Regression(), settings(gradient_noise=1.0, ema=0.0)).model
    assert torch.equal(trained.get_parameter("0.weight").detach() != 0, kept)


def test_recipes_ask_for_both(command: Command, tmp_path: Path) -> None:
    sizes = "img_size=8,patch_size=4,in_chans=1,num_classes=10,embed_dim=12,depth=1,num_heads=3"
    words = ["train", "--task", "classify", "--model", "timm:vit_tiny_patch16_224", "--model-args", sizes]
    words += ["--steps", "3", "--batch-size", "8", "--threads", "1"]
    made: dict[str, bytes] = {}
    for name, more in (("plain", []), ("noisy", ["--gradient-noise", "0.3"]), ("layca", ["--optimizer", "layca"])):
        outcome = command(*words, *more, "--out", name)
        assert outcome.code == 0, outcome.err
        made[name] = (tmp_path / name / "model.safetensors").read_bytes()
    assert len(set(made.values())) == 3
    assert "optimizer: layca" in (tmp_path / "layca" / "recipe.yaml").read_text()
    assert json.loads((tmp_path / "layca" / "manifest.json").read_text())["stage"] == "train"
    command(*words, "--gradient-noise", "-1", "--out", "x").refused(2, "--gradient-noise: input should be greater")
    command(*words, "--optimizer", "lyca", "--out", "x").refused(2, "optimizer")
