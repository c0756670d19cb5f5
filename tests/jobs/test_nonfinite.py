"""Weights that are no numbers are not published by what trains, and counted by what copies."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.conftest import Command

TRAIN = ("train", "--task", "classify", "--data", "digits", "--batch-size", "8", "--threads", "1", "--model")
TRAIN += ("timm:vit_tiny_patch16_224", "--model-args")
TRAIN += ("img_size=16,patch_size=8,embed_dim=16,depth=1,num_heads=2,num_classes=10",)


@pytest.mark.parametrize("rate", ["1e38", "3e38"])
@pytest.mark.parametrize("average", ["0", "0.9"])
def test_the_last_update_is_looked_at(command: Command, tmp_path: Path, rate: str, average: str) -> None:
    words = (*TRAIN, "--steps", "1", "--warmup", "0", "--lr", rate, "--ema", average, "--out", "out")
    outcome = command(*words)
    assert outcome.code == 1, outcome.err
    assert "the weights were not finite at step 1" in outcome.err
    assert "--lr" in outcome.err
    assert outcome.left == frozenset()


def test_a_state_that_is_saved_is_finite(command: Command, tmp_path: Path) -> None:
    words = (*TRAIN, "--steps", "3", "--warmup", "0", "--lr", "1e38", "--save-every", "1", "--out", "out")
    assert command(*words).code == 1
    assert not list(tmp_path.rglob("*.safetensors"))


def test_pruning_counts_what_was_there(command: Command, llama: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(llama, tmp_path / "start")
    tensors = load_file(tmp_path / "start" / "model.safetensors")
    tensors["model.norm.weight"][2:5] = torch.inf
    save_file(tensors, tmp_path / "start" / "model.safetensors", metadata={"format": "pt"})
    outcome = command("prune", "./start", "--score", "magnitude", "--density", "0.5", "--out", "out")
    assert outcome.code == 0, outcome.err
    assert "warning: 3 NaN or infinite values came from the start (1 tensors, first model.norm.weight)" in outcome.err
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["nonfinite"] == {"model.norm.weight": 3}
