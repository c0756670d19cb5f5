"""What was written is loaded once by its own library before it is published."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from tests.conftest import Command
from weightgen.models.libraries.timm import Timm
from weightgen.models.libraries.transformers import Transformers

TINY = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "vocab_size": 50}


@pytest.fixture
def encoder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    transformers.BertModel(transformers.BertConfig(**TINY)).save_pretrained(tmp_path / "encoder")
    return tmp_path / "encoder"


def spoil(adapter: type, change: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a library's adapter write another config than that of the weights."""
    written: Any = adapter.write_config  # type: ignore[attr-defined]

    def write(self: Any, target: Any, directory: Path) -> None:
        written(self, target, directory)
        file = directory / "config.json"
        values = json.loads(file.read_text())
        change(values)
        file.write_text(json.dumps(values))

    monkeypatch.setattr(adapter, "write_config", write)


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda v: v.update(num_hidden_layers=3), "'encoder.layer.2"),
        (lambda v: v.update(num_hidden_layers=1), "is unknown to it"),
        (lambda v: v.update(hidden_size=24, num_attention_heads=3), "does not load"),
        (
            lambda v: v.update(quantization_config={"quant_method": "bitsandbytes", "load_in_4bit": True}),
            "does not load",
        ),
    ],
)
def test_a_transformers_directory_that_does_not_load(
    command: Command, encoder: Path, change: Any, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(Transformers, change, monkeypatch)
    command("subclone", "--src", encoder, "--dst", "same", "--out", "cut").refused(1, said, "Nothing was written")


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda v: v["model_args"].update(depth=3), "'blocks.2."),
        (lambda v: v["model_args"].update(depth=1), "it wants none"),
        (lambda v: v["model_args"].update(no_such=1), "no_such"),
        (lambda v: v.update(architecture="none-such"), "none-such"),
    ],
)
def test_a_timm_directory_that_does_not_load(
    command: Command, change: Any, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(Timm, change, monkeypatch)
    arguments = "depth=2,embed_dim=12,num_heads=2,img_size=16,patch_size=8,num_classes=3"
    words = (
        "init",
        "--model",
        "timm:vit_tiny_patch16_224",
        "--method",
        "zero",
        "--model-args",
        arguments,
        "--out",
        "start",
    )
    command(*words).refused(1, said, "Nothing was written")


def test_loading_reports_nothing_and_leaves_the_library_as_it_was(command: Command, encoder: Path) -> None:
    level = transformers.utils.logging.get_verbosity()
    outcome = command(
        "subclone", "--src", encoder, "--dst", "same", "--dst-args", "intermediate_size=16", "--out", "cut"
    )
    assert outcome.code == 0
    assert "REPORT" not in outcome.err + outcome.out
    assert transformers.utils.logging.get_verbosity() == level
    assert transformers.utils.logging.is_progress_bar_enabled()
