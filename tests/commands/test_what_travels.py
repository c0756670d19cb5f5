"""What travels with weights is looked at before it does, and words at the door are text."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import transformers

from tests.conftest import Command


@pytest.fixture
def source(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24}
    transformers.BertModel(transformers.BertConfig(**sizes, vocab_size=20)).save_pretrained(tmp_path / "source")
    return tmp_path / "source"


@pytest.mark.parametrize("raw", [b"{", b"\x8f", b"", b"[" * 100_000])
@pytest.mark.parametrize("name", ["tokenizer_config.json", "special_tokens_map.json", "preprocessor_config.json"])
def test_a_sidecar_that_is_no_json_is_refused(command: Command, source: Path, name: str, raw: bytes) -> None:
    (source / name).write_bytes(raw)
    command("subclone", "--src", source, "--dst", "same", "--out", "cut").refused(3, name)


def test_a_sidecar_of_any_kind_of_json_travels(command: Command, source: Path, tmp_path: Path) -> None:
    (source / "modules.json").write_text("[]")
    (source / "preprocessor_config.json").write_text('{"size": 8}')
    outcome = command("subclone", "--src", source, "--dst", "same", "--out", "cut")
    assert outcome.code == 0, outcome.err
    assert (tmp_path / "cut" / "preprocessor_config.json").read_text() == '{"size": 8}'


def test_a_name_that_is_no_utf8_is_refused(command: Command) -> None:
    command("verify", "a\ud800").refused(2, "is no UTF-8")
