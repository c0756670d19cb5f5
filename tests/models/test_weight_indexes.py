"""Indexes and directories of weights: hostile, linked, replaced, and without weights."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.attacks.indexes import ATTACKS, index
from weightgen.errors import InputError, UsageError
from weightgen.models import weights
from weightgen.models.weights import open_weights


@pytest.mark.parametrize("name", ATTACKS)
def test_a_broken_or_hostile_index_is_refused(tmp_path: Path, name: str) -> None:
    content, wording = ATTACKS[name]
    save_file({"w": torch.zeros(2)}, tmp_path / "a.safetensors")
    torch.save({"v": torch.zeros(2)}, tmp_path / "c.bin")
    (tmp_path / "model.safetensors.index.json").write_bytes(content)
    with pytest.raises(InputError) as caught:
        open_weights(tmp_path, allow_pickle=True)
    assert wording in str(caught.value)
    assert "model.safetensors.index.json" in str(caught.value)
    assert caught.value.exit_code == 3
    assert len(str(caught.value).splitlines()) <= 3


def test_a_huge_index_is_refused_before_it_is_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "MAX_INDEX", 100)
    monkeypatch.setattr(weights, "strict_json", lambda raw: pytest.fail("parsed"))
    (tmp_path / "model.safetensors.index.json").write_bytes(b" " * 101)
    with pytest.raises(InputError, match="101 bytes, the limit is 100"):
        open_weights(tmp_path)


def test_a_shard_that_is_a_fifo_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.safetensors")
    (tmp_path / "x.index.json").write_bytes(index(w="a.safetensors"))
    with pytest.raises(InputError, match="expected a regular file, found a FIFO"):
        open_weights(tmp_path / "x.index.json")


def test_a_shard_linked_from_outside_is_refused_unless_it_is_the_hub_cache(tmp_path: Path) -> None:
    home = tmp_path / "models--x" / "snapshots" / "0123"
    home.mkdir(parents=True)
    (tmp_path / "models--x" / "blobs").mkdir()
    save_file({"w": torch.zeros(2)}, tmp_path / "models--x" / "blobs" / "hash")
    (home / "a.safetensors").symlink_to("../../blobs/hash")
    (home / "model.safetensors.index.json").write_bytes(index(w="a.safetensors"))
    with open_weights(home) as found:
        assert list(found.entries) == ["w"]
    save_file({"w": torch.zeros(2)}, tmp_path / "outside")
    (home / "a.safetensors").unlink()
    (home / "a.safetensors").symlink_to(tmp_path / "outside")
    with pytest.raises(InputError, match=r"shard a\.safetensors is a link to a file outside"):
        open_weights(home)


def test_a_directory_without_weights_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected one of model\.safetensors, .*Check the path"):
        open_weights(tmp_path)
    save_file({"w": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match=r"Name one of: other\.safetensors"):
        open_weights(tmp_path)


def test_an_unknown_kind_of_file_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a kind of weights file") as caught:
        open_weights(tmp_path / "x.gguf")
    assert caught.value.exit_code == 2


def test_a_file_replaced_while_in_use_is_noticed(tmp_path: Path) -> None:
    save_file({"w": torch.zeros(2)}, tmp_path / "x.safetensors")
    found = open_weights(tmp_path / "x.safetensors")
    save_file({"w": torch.zeros(3)}, tmp_path / "x.safetensors")
    with pytest.raises(InputError, match="the file was replaced while in use"):
        found.read("w")
