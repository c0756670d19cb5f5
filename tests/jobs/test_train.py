"""`weightgen train` as its user runs it: a checkpoint, a second start from it, stops, and what goes wrong."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import timm
import torch

from tests.conftest import Command

SIZES = "img_size=8,patch_size=4,in_chans=1,num_classes=10,embed_dim=24,depth=2,num_heads=3"
TRAIN = ("train", "--task", "classify", "--model", "timm:vit_tiny_patch16_224", "--model-args", SIZES)
SHORT = ("--batch-size", "16", "--threads", "1")


@pytest.fixture(autouse=True)
def _threads() -> Any:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_a_trained_model_is_a_checkpoint(command: Command, tmp_path: Path) -> None:
    outcome = command(*TRAIN, *SHORT, "--steps", "30", "--lr", "3e-3", "--augment", "crop", "--out", "made")
    assert outcome.code == 0, outcome.err
    assert "wrote made/: top-1 " in outcome.out
    assert command("verify", "made").code == 0
    model = timm.create_model(f"local-dir:{tmp_path / 'made'}", pretrained=True).eval()
    manifest = json.loads((tmp_path / "made" / "manifest.json").read_text())
    assert manifest["cost"]["training_flops"] > 0
    # The published number is that of the published weights, through timm's own transforms.
    from weightgen.tasks.images import load_images, picture

    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model), is_training=False)
    test = load_images("digits").test
    with torch.no_grad():
        guesses = model(torch.stack([transform(picture(i, "digits")) for i in test["image"]])).argmax(-1)
    right = (guesses == torch.tensor(test["label"])).float().mean()
    assert float(right) == pytest.approx(manifest["evidence"]["value"], abs=0.003)
    assert not (tmp_path / "made.training").exists()
    assert oct((tmp_path / "made" / "model.safetensors").stat().st_mode)[-3:] == "644"

    again = command("run", "made/recipe.yaml", "--out", "again")
    assert again.code == 0, again.err
    ours, theirs = ((tmp_path / d / "model.safetensors").read_bytes() for d in ("made", "again"))
    assert ours == theirs

    cut = command(
        "subclone", "--src", "made", "--dst", "same", "--dst-args", "embed_dim=16,num_heads=2", "--out", "cut"
    )
    assert cut.code == 0, cut.err
    found = json.loads((tmp_path / "cut" / "manifest.json").read_text())
    assert found["source_cost"] == manifest["cost"]
    assert found["cost"] == {"calibration_flops": 0}

    further = command("train", "--task", "classify", "--start", "made", *SHORT, "--steps", "2", "--out", "further")
    assert further.code == 0, further.err
    command("train", "--task", "classify", *SHORT, "--out", "x").refused(2, "add --model NAME")
    command(*TRAIN, *SHORT, "--out", "made").refused(2, "already exists")
    command(*TRAIN, *SHORT).refused(2, "Add --out DIR")


def test_ctrl_c_and_on(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from weightgen.training import loop as training

    words = (*TRAIN, *SHORT, "--steps", "12", "--out")
    assert command(*words, "whole").code == 0
    step = training._Loop._train_step

    def interrupting(self: Any, *arguments: Any) -> bool:
        if self.step == 5:
            os.kill(os.getpid(), signal.SIGINT)
        return step(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(training._Loop, "_train_step", interrupting)
        stopped = command(*words, "stopped")
    assert stopped.code == 130
    assert "stopped at step" in stopped.err
    assert "saved in stopped.training" in stopped.err
    assert "The same command goes on from there" in stopped.err
    assert not (tmp_path / "stopped").exists()
    command(*words, "stopped", "--lr", "0.5").refused(2, "learning_rate: 0.001 then, 0.5 now")
    assert command(*words, "stopped").code == 0
    ours, theirs = ((tmp_path / d / "model.safetensors").read_bytes() for d in ("whole", "stopped"))
    assert ours == theirs


def test_a_loss_that_explodes(command: Command, tmp_path: Path) -> None:
    words = (*TRAIN, *SHORT, "--steps", "30", "--lr", "1e30", "--save-every", "1", "--warmup", "0", "--out", "made")
    outcome = command(*words)
    assert outcome.code == 1
    assert "the loss was not finite at step 2 (learning rate 1e+30). The last good state is" in outcome.err
    assert "Traceback" not in outcome.err
    assert (tmp_path / "made.training" / "states" / "step-000000001" / "manifest.json").exists()
    assert not (tmp_path / "made").exists()


def test_a_full_disk_keeps_the_last_state(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import accelerate

    save = accelerate.Accelerator.save_state
    calls = 0

    def full(self: Any, *arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise RuntimeError("PytorchStreamWriter failed writing file data/3: file write failed")
        return save(self, *arguments, **options)

    monkeypatch.setattr(accelerate.Accelerator, "save_state", full)
    outcome = command(*TRAIN, *SHORT, "--steps", "9", "--save-every", "3", "--out", "made")
    assert outcome.code == 3
    assert "the state could not be written" in outcome.err
    assert "step-000000003 is kept" in outcome.err
    assert sorted(p.name for p in (tmp_path / "made.training" / "states").iterdir()) == ["step-000000003"]


def test_distillation_asks_the_teacher(command: Command, tmp_path: Path) -> None:
    assert command(*TRAIN, *SHORT, "--steps", "3", "--out", "teacher").code == 0
    plain = command(*TRAIN, *SHORT, "--steps", "3", "--seed", "1", "--out", "plain")
    taught = command(*TRAIN, *SHORT, "--steps", "3", "--seed", "1", "--teacher", "teacher", "--out", "taught")
    assert plain.code == taught.code == 0, taught.err
    ours, theirs = ((tmp_path / d / "model.safetensors").read_bytes() for d in ("plain", "taught"))
    assert ours != theirs
    other = SIZES.replace("num_classes=10", "num_classes=4")
    words = (*TRAIN[:-1], other, *SHORT, "--steps", "3", "--out")
    command(*words, "x", "--teacher", "teacher").refused(2, "the data have 10 classes, the model 4 outputs")
