"""What is said of a plan's axes, what is required of them, and that nothing is cut blindly unless it is asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

import weightgen
from tests.conftest import Command
from weightgen.errors import UsageError

SIZES = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "vocab_size": 60,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
CUT = "intermediate_size=24,num_attention_heads=2,hidden_size=16"


def saved(model: transformers.PreTrainedModel, directory: Path) -> Path:
    model.save_pretrained(directory)
    return directory


@pytest.fixture
def modern(tmp_path: Path) -> Path:
    """ModernBERT, of which there is no table."""
    torch.manual_seed(0)
    config = transformers.ModernBertConfig(**SIZES, sep_token_id=2, cls_token_id=1)
    return saved(transformers.ModernBertForMaskedLM(config), tmp_path / "modern")


@pytest.fixture
def bert(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    return saved(transformers.BertForMaskedLM(transformers.BertConfig(**SIZES)), tmp_path / "bert")


def cut(command: Command, source: Path, *more: Any, arguments: str = CUT) -> Any:
    return command("subclone", "--src", source, "--dst", "same", "--dst-args", arguments, "--out", "cut", *more)


def test_a_table_is_proven(command: Command, bert: Path, tmp_path: Path) -> None:
    outcome = cut(command, bert, "--require", "proven")
    assert outcome.code == 0, outcome.err
    told = json.loads((tmp_path / "cut" / "plan.json").read_text())["truth"]
    assert (told["route"], told["why"]) == ("table", "")
    assert sum(told["shares"].values()) == pytest.approx(1, abs=1e-5)
    assert told["shares"]["by shape"] == told["shares"]["unexercised"] == 0
    assert "- axes: table: " in (tmp_path / "cut" / "README.md").read_text()


def test_a_type_without_a_table_is_cut_along_derived_axes(command: Command, modern: Path, tmp_path: Path) -> None:
    outcome = cut(command, modern, "--require", "proven", "--json")
    assert outcome.code == 0, outcome.err
    told = json.loads(outcome.out)["truth"]
    assert told["route"] == "derived"
    assert "there is no table of modernbert" in told["why"]
    assert told["shares"]["proven"] > 0.9
    found = transformers.ModernBertForMaskedLM.from_pretrained(tmp_path / "cut")
    assert found(torch.arange(9)[None]).logits.isfinite().all()


def test_axes_that_cannot_be_cut_are_named_and_nothing_is_cut_blindly(command: Command, modern: Path) -> None:
    # Heads of another width would pair other dimensions of a rotation.
    outcome = cut(command, modern, arguments="hidden_size=24,num_attention_heads=4")
    outcome.refused(2, "no axes are known", "Wqkv", "by their sizes alone", "--allow-shape")


def test_heads_of_another_width_are_not_taken_for_a_copy(command: Command, modern: Path) -> None:
    outcome = cut(command, modern, arguments="num_attention_heads=8")
    outcome.refused(2, "all sizes agree, but the configurations do not", "--allow-shape")


def test_a_blind_cut_that_was_asked_for_says_so(command: Command, modern: Path, tmp_path: Path) -> None:
    outcome = cut(command, modern, "--allow-shape", arguments="hidden_size=24,num_attention_heads=4")
    assert outcome.code == 0, outcome.err
    told = json.loads((tmp_path / "cut" / "plan.json").read_text())["truth"]
    assert told["route"] == "shape"
    assert told["shares"]["by shape"] > 0.9
    assert "by shape alone" in outcome.err


def test_what_is_required_of_a_blind_cut_fails_the_check(command: Command, modern: Path) -> None:
    outcome = cut(command, modern, "--allow-shape", "--require", "proven", arguments="hidden_size=24")
    outcome.refused(1, "--require proven", "by shape alone", "Nothing was written")


def test_what_keeps_its_size_needs_no_axes(command: Command, tmp_path: Path) -> None:
    source = saved(
        transformers.CTRLModel(transformers.CTRLConfig(n_embd=16, dff=24, n_layer=2, n_head=2)), tmp_path / "c"
    )
    outcome = command("subclone", "--src", source, "--dst", "same", "--out", "cut")
    assert outcome.code == 0, outcome.err


def test_modules_in_memory_are_not_cut_blindly_either() -> None:
    class Odd(torch.nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.ordered = torch.nn.Linear(4, width)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.ordered(x).cumsum(-1)

    with pytest.raises(UsageError, match="allow-shape"):
        weightgen.subclone(Odd(8), Odd(4))
    weightgen.subclone(Odd(8), Odd(4), allow_shape=True)
