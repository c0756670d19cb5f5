"""Importance from activations: through the real model, on images of the model's own kind, and saved for later."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from tests.conftest import Command

SIZES = {"img_size": 8, "patch_size": 4, "in_chans": 1, "num_classes": 3, "embed_dim": 24, "depth": 2, "num_heads": 3}
WORDS = ("subclone", "--src", "timm:vit_tiny_patch16_224", "--src-weights", "source.safetensors", "--dst", "same")
WORDS += (
    "--src-args",
    ",".join(f"{k}={v}" for k, v in SIZES.items()),
    "--dst-args",
    "embed_dim=16,num_heads=2,depth=1",
)


@pytest.fixture
def grey(tmp_path: Path) -> Path:
    """Grey images, and a source that takes them."""
    from safetensors.torch import save_file

    torch.manual_seed(0)
    save_file(timm.create_model("vit_tiny_patch16_224", **SIZES).state_dict(), tmp_path / "source.safetensors")
    folder = tmp_path / "images"
    folder.mkdir()
    for i in range(10):
        pixels = np.random.default_rng(i).integers(0, 256, (8, 8)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    return folder


def test_calibration_is_counted_and_kept(command: Command, grey: Path, tmp_path: Path) -> None:
    method = ("--method", "minitron")
    measured = command(*WORDS, *method, "--calibrate", grey, "--save-scores", "s.safetensors", "--out", "measured")
    assert measured.code == 0, measured.err
    cost = json.loads((tmp_path / "measured" / "manifest.json").read_text())["cost"]
    model = timm.create_model("vit_tiny_patch16_224", **SIZES)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(torch.zeros(10, 1, 8, 8))
    assert cost == {"calibration_flops": counter.get_total_flops()}

    reused = command(*WORDS, *method, "--scores", "s.safetensors", "--out", "reused")
    assert reused.code == 0, reused.err
    ours, theirs = ((tmp_path / d / "model.safetensors").read_bytes() for d in ("measured", "reused"))
    assert ours == theirs
    assert json.loads((tmp_path / "reused" / "manifest.json").read_text())["cost"] == cost
    plain = command(*WORDS, "--out", "plain")
    assert plain.code == 0
    assert (tmp_path / "plain" / "model.safetensors").read_bytes() != ours


def test_scores_have_a_name_that_can_be_read_again(command: Command, grey: Path) -> None:
    words = (*WORDS, "--method", "minitron", "--calibrate", grey, "--save-scores", "scores", "--out", "x")
    command(*words).refused(2, "give --save-scores a name that says so")
