"""Targets that a source cannot start: larger, of another family, of another vocabulary, or no model at all."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from tests.conftest import VIT, Command

WEIGHTS = "model.safetensors"


def test_a_larger_target_names_the_axis(command: Command, llama: Path, vit: Path) -> None:
    words = ("subclone", "--src", llama, "--dst", "same", "--out", "out", "--dst-args")
    command(*words, "intermediate_size=48").refused(2, "hidden", "48", "32")
    command(*words, "num_hidden_layers=6").refused(2, "layer", "6", "4")
    words = ("subclone", *VIT, "--src-weights", vit, "--dst", "same", "--out", "out", "--dst-args")
    command(*words, "embed_dim=48,num_heads=6").refused(2, "the target needs", "the source has")
    command(*words, "depth=3").refused(2, "layer", "3", "2")


def test_a_target_of_no_size(command: Command, llama: Path, vit: Path) -> None:
    """Libraries build a network without blocks, or of width zero, and say nothing."""
    words = ("subclone", "--src", llama, "--dst", "same", "--out", "out", "--dst-args")
    for change in ("num_hidden_layers=0", "num_hidden_layers=-1", "intermediate_size=0", "vocab_size=0", "head_dim=0"):
        command(*words, change).refused(2, f"{change}: a size must be at least 1")
    words = ("subclone", *VIT, "--src-weights", vit, "--dst", "same", "--out", "out", "--dst-args")
    for change in ("depth=0", "embed_dim=0", "num_heads=-2", "img_size=[32, 0]"):
        command(*words, change).refused(2, f"{change}: a size must be at least 1")
    assert command(*words, "num_classes=0").code == 0


def test_different_families(command: Command, llama: Path, vit: Path) -> None:
    command("subclone", "--src", llama, "--dst", "vit-tiny").refused(2, "different families", "a timm one")
    command("subclone", "--src", llama, "--dst", "bert-tiny").refused(2, "different families")
    words = ("subclone", *VIT, "--src-weights", vit, "--dst")
    command(*words, "resnet-18").refused(2, "different families")


def give_tokenizer(directory: Path, words: list[str]) -> Path:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel

    directory.mkdir(exist_ok=True)
    tokenizer = Tokenizer(WordLevel({word: i for i, word in enumerate(words)}, unk_token=words[0]))
    tokenizer.save(str(directory / "tokenizer.json"))
    return directory


def test_vocabularies_that_differ(command: Command, source: Path, tmp_path: Path) -> None:
    args = "num_hidden_layers=2,hidden_size=8,num_attention_heads=2,head_dim=4,vocab_size=6"
    words = ("subclone", "--src", source, "--dst", "same", "--dst-args", args, "--out", "out")
    command(*words).refused(2, "the source has 40 tokens, the target 6", "--dst-tokenizer")
    tokens = ["[UNK]", "t3", "t39", "new", "t0", "t7"]
    other = give_tokenizer(tmp_path / "other", tokens)
    command(*words, "--dst-tokenizer", other).refused(2, "the source has 40 tokens, the target 6")
    give_tokenizer(source, [f"t{i}" for i in range(39)] + ["[UNK]"])
    command(*words).refused(2, "the source has 40 tokens, the target 6")
    assert command(*words, "--dst-tokenizer", other).code == 0
    plan = json.loads(command(*words, "--dst-tokenizer", other, "--dry-run", "--json").out)
    assert plan["actions"]["selected"] > 0
    name = "model.embed_tokens.weight"
    have, made = load_file(source / WEIGHTS)[name], load_file(tmp_path / "out" / WEIGHTS)[name]
    for row, origin in {0: 39, 1: 3, 4: 0, 5: 7}.items():  # t39 and "new" are not in the source
        assert np.isin(made[row], have[origin]).all()
    assert not np.isin(made[[2, 3]], have).any()
    assert np.isfinite(made).all()
    assert (tmp_path / "out" / "tokenizer.json").read_bytes() == (other / "tokenizer.json").read_bytes()
    give_tokenizer(other, [f"x{i}" for i in range(6)])
    command(*words[:-1], "new", "--dst-tokenizer", other).refused(2, "no token of")
    (other / "tokenizer.json").write_text("{")
    command(*words[:-1], "new", "--dst-tokenizer", other).refused(3, "its tokenizer cannot be read")
