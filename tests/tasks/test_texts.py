"""Text from files: splits that are runs of neighbouring items, packing, the cache, and what is refused."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import Command
from tests.tiny_text import POSITIONS, SPECIAL, VOCABULARY, WORDS, save_model, save_text, save_tokenizer, words
from weightgen.errors import InputError, UsageError
from weightgen.models.tokenizer import open_tokenizer
from weightgen.tasks.texts import load_texts
from weightgen.tasks.tokens import pack
from weightgen.training.task import Split

SPLITS: tuple[Split, ...] = ("train", "tune", "validation", "test")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("model") / "causal", "LlamaForCausalLM")


def packed(data: Path, model: Path, length: int = 9, **options: Any) -> dict[Split, np.ndarray]:
    before, after = options.get("before", [5]), options.get("after", [])
    made = pack(load_texts(str(data)), open_tokenizer(model), length, before, after, str(data))
    return {split: np.asarray(table[:]["tokens"]) for split, table in made.items()}


def text_of(items: np.ndarray) -> list[str]:
    """The words of items, without the first token of each."""
    return [(*SPECIAL, *WORDS)[i] for i in items[:, 1:].ravel()]


def whole(parts: dict[Split, np.ndarray]) -> list[str]:
    """The words of all splits, in the order in which they are cut."""
    return text_of(np.concatenate([parts[s] for s in SPLITS]))


def test_one_text_is_cut_into_neighbouring_runs(tmp_path: Path, model: Path) -> None:
    """The four splits on end are the text itself, so that none shares an item with another."""
    parts = packed(save_text(tmp_path / "a.txt", 83 * 8 + 5), model)
    assert {s: len(parts[s]) for s in SPLITS} == {"train": 75, "tune": 2, "validation": 2, "test": 4}
    assert whole(parts) == words(83 * 8 + 5)[: 83 * 8]
    assert all((items[:, 0] == 5).all() and items.shape[1] == 9 for items in parts.values())


def test_files_name_their_splits(tmp_path: Path, model: Path) -> None:
    """Words in file names count, parts of words do not: `latest` is no test. `tune` comes before `validation`."""
    for seed, name in enumerate(("latest", "my-train.2", "wiki_valid", "TEST")):
        save_text(tmp_path / f"{name}.txt", 80, seed)
    parts = packed(tmp_path, model)
    assert text_of(parts["train"]) == words(80, 0) + words(80, 1)
    assert text_of(parts["tune"]) + text_of(parts["validation"]) == words(80, 2)
    assert len(parts["tune"]) == len(parts["validation"]) == 5
    assert text_of(parts["test"]) == words(80, 3)


def test_missing_splits_are_cut_off_the_training_text(tmp_path: Path, model: Path) -> None:
    save_text(tmp_path / "train.txt", 800, 0)
    save_text(tmp_path / "dev.txt", 80, 1)
    parts = packed(tmp_path, model)
    assert text_of(parts["train"]) + text_of(parts["test"]) == words(800, 0)
    assert (len(parts["train"]), len(parts["test"])) == (95, 5)


def test_long_texts_and_endless_lines_keep_their_order(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pieces end with a line where there are lines, and no word is lost where they do not."""
    monkeypatch.setattr("weightgen.tasks.texts.PIECE", 100)
    parts = packed(save_text(tmp_path / "lines.txt", 800), model)
    assert whole(parts) == words(800)
    (tmp_path / "line.txt").write_text("w1" * 5000)
    assert [len(row) for row in load_texts(str(tmp_path / "line.txt"))["train"]["text"]] == [200] * 50


def test_data_of_the_hub_may_name_splits_and_column(tmp_path: Path, model: Path) -> None:
    """`datasets` reads a local folder as it reads a repository; lines are joined by line ends."""
    folder = tmp_path / "data"
    folder.mkdir()
    for split, seed in (("train", 0), ("validation", 1), ("test", 2)):
        rows = [{"content": " ".join(words(80, seed)[i : i + 8]), "n": i} for i in range(0, 80, 8)]
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    made = pack(load_texts(f"hf:{folder}"), open_tokenizer(model), 9, [5], [], "data")
    assert text_of(np.asarray(made["train"][:]["tokens"])) == words(80, 0)
    assert text_of(np.asarray(made["test"][:]["tokens"])) == words(80, 2)


def test_columns_that_could_mean_two_things_are_refused(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text('{"title": "a", "body": "b"}\n')
    with pytest.raises(InputError, match="expected a column 'text', found title, body"):
        load_texts(f"hf:{tmp_path}")


def test_packing_is_kept_on_disk_until_the_file_changes(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"  # no other worker of this call writes there
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", cache)
    file = save_text(tmp_path / "a.txt", 400)
    first = packed(file, model)
    before = {f: f.stat().st_mtime_ns for f in cache.rglob("*.arrow")}
    again = packed(file, model)
    assert {f: f.stat().st_mtime_ns for f in cache.rglob("*.arrow")} == before
    assert all(np.array_equal(again[s], first[s]) for s in SPLITS)
    packed(file, model, length=5)
    assert len(list(cache.rglob("*.arrow"))) == len(before) + 1
    save_text(file, 400, seed=1)
    assert whole(packed(file, model)) == words(400, 1)


def test_text_that_looks_like_a_special_token_is_text(tmp_path: Path, model: Path) -> None:
    (tmp_path / "a.txt").write_text("w1 x[MASK]y w2 x<s>y " * 200)
    found = np.unique(np.concatenate([items[:, 1:].ravel() for items in packed(tmp_path / "a.txt", model).values()]))
    assert set(found) == {1, 7, 8}  # unknown words among known ones


def test_byte_order_mark_and_line_ends_of_windows_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfw1 w2\r\nw3")
    assert load_texts(str(tmp_path / "a.txt"))["train"]["text"] == ["w1 w2\nw3"]


def test_short_text_says_what_was_found_and_needed(tmp_path: Path, model: Path) -> None:
    file = save_text(tmp_path / "a.txt", 319)
    with pytest.raises(InputError, match="too short: 319 tokens of train text, 320 needed for one item of 9 tokens"):
        packed(file, model)
    packed(save_text(file, 320), model)
    save_text(tmp_path / "valid.txt", 15)
    with pytest.raises(InputError, match="15 tokens of validation text, 16 needed"):
        packed(tmp_path, model)


def test_items_without_place_for_text_are_refused(tmp_path: Path, model: Path) -> None:
    with pytest.raises(UsageError, match="--length 2: the tokenizer's own 2 tokens leave no place"):
        packed(save_text(tmp_path / "a.txt", 400), model, length=2, before=[2], after=[3])


def test_unreadable_texts(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        load_texts(str(tmp_path / "none.txt"))
    (tmp_path / "latin.txt").write_bytes("naïve ".encode("latin-1") * 9)
    with pytest.raises(InputError, match=r"latin\.txt: not UTF-8 text"):
        load_texts(str(tmp_path / "latin.txt"))
    (tmp_path / "empty.txt").write_text("\ufeff")
    with pytest.raises(InputError, match=r"empty\.txt: no text"):
        load_texts(str(tmp_path / "empty.txt"))
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(InputError, match="found a FIFO"):
        load_texts(str(tmp_path / "fifo"))
    (tmp_path / "latin.txt").rename(tmp_path / "test.txt")
    (tmp_path / "empty.txt").unlink()
    with pytest.raises(InputError, match="no training text"):
        load_texts(str(tmp_path))


def test_what_does_not_fit_is_refused_before_anything_is_written(command: Command, tmp_path: Path, model: Path) -> None:
    text = save_text(tmp_path / "a.txt", 400)
    other = save_tokenizer(tmp_path / "other", (*WORDS, "more"))
    (other / "config.json").write_bytes((model / "config.json").read_bytes())
    broken, bare = save_tokenizer(tmp_path / "broken"), tmp_path / "bare"
    (broken / "tokenizer.json").write_text("{")
    bare.mkdir()
    for directory in (broken, bare):
        (directory / "config.json").write_bytes((model / "config.json").read_bytes())

    def refused(code: int, *told: str, data: Path | str = text, model: Path | str = model, length: int = 9) -> None:
        words = ("--task", "causal", "--model", model, "--data", data, "--length", str(length), "--out", "out")
        command("train", *words).refused(code, *told)

    refused(3, "no such file or directory", data="none.txt")
    refused(4, "could not reach the hub", "pass a text file", data="hf:nobody/nothing")
    refused(3, "too short", length=12)
    refused(2, f"--length {POSITIONS + 1}", f"{POSITIONS} positions", length=POSITIONS + 1)
    refused(2, "no tokenizer in", "tokenizer.json", model=bare)
    refused(2, f"up to number {VOCABULARY}", f"knows {VOCABULARY}", model=other)
    refused(3, "its tokenizer cannot be read", model=broken)
    refused(2, "takes no text", model="vit-tiny")
    refused(4, "for the tokenizer of 'openai-community/gpt2'", model="gpt2-small")
