"""Pickles are read only when allowed, and run no code even then."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from tests.attacks.indexes import index
from tests.models.test_weights import TENSORS
from weightgen.errors import InputError
from weightgen.models.weights import open_weights


class Exploit:
    """Pickles into a call that creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.path), "w")


def test_a_pickle_is_refused_unless_allowed(tmp_path: Path) -> None:
    torch.save({"w": torch.zeros(2)}, tmp_path / "pytorch_model.bin")
    with pytest.raises(InputError, match="--allow-pickle") as caught:
        open_weights(tmp_path)
    assert caught.value.exit_code == 3
    assert list(open_weights(tmp_path, allow_pickle=True).entries) == ["w"]


def test_an_allowed_pickle_still_runs_no_code(tmp_path: Path) -> None:
    torch.save({"w": torch.zeros(2), "x": Exploit(tmp_path / "ran")}, tmp_path / "x.pt")
    with pytest.raises(InputError, match="holds objects other than tensors"):
        open_weights(tmp_path / "x.pt", allow_pickle=True)
    assert not (tmp_path / "ran").exists()


def test_a_pickle_of_the_old_format_is_read(tmp_path: Path) -> None:
    kept = {"state_dict_ema": {"b": TENSORS["b"]}}
    torch.save(kept, tmp_path / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    with open_weights(tmp_path, allow_pickle=True) as found:
        assert found.read("b").tobytes() == TENSORS["b"].view(torch.uint8).numpy().tobytes()


def test_a_pickle_that_torch_stumbles_over_is_refused(tmp_path: Path) -> None:
    torch.save({"e": TENSORS["e"]}, tmp_path / "x.pt", _use_new_zipfile_serialization=False)  # AttributeError inside
    with pytest.raises(InputError, match="not a readable PyTorch file"):
        open_weights(tmp_path / "x.pt", allow_pickle=True)


@pytest.mark.parametrize(
    ("content", "wording"), [(b"", "not a readable PyTorch file"), (b"PK\x03\x04junk", "not a readable PyTorch file")]
)
def test_a_broken_pickle_is_named(tmp_path: Path, content: bytes, wording: str) -> None:
    (tmp_path / "x.pt").write_bytes(content)
    with pytest.raises(InputError, match=wording):
        open_weights(tmp_path / "x.pt", allow_pickle=True)


@pytest.mark.parametrize(
    ("content", "wording"),
    [
        ({"epoch": 1}, "no state dict"),
        ({"state_dict": {}}, "no state dict"),
        (torch.zeros(2), "no state dict"),
        ({"a\x1b": torch.zeros(2)}, "control or invisible"),
    ],
)
def test_a_pickle_without_usable_tensors_is_refused(tmp_path: Path, content: Any, wording: str) -> None:
    torch.save(content, tmp_path / "x.pt")
    with pytest.raises(InputError, match=wording):
        open_weights(tmp_path / "x.pt", allow_pickle=True)


def test_a_pickle_shard_that_lacks_a_tensor_is_refused(tmp_path: Path) -> None:
    torch.save({"w": torch.zeros(2)}, tmp_path / "1.bin")
    (tmp_path / "pytorch_model.bin.index.json").write_bytes(index(w="1.bin", v="1.bin"))
    with pytest.raises(InputError, match="tensor 'v' is in none of the shards"):
        open_weights(tmp_path, allow_pickle=True)


@pytest.mark.parametrize("module", ["pytorch_lightning.utilities.parsing", "lightning.fabric.utilities.data"])
def test_what_lightning_leaves_beside_the_weights_is_read(
    tmp_path: Path, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = module.split(".")
    with monkeypatch.context() as installed:
        for depth in range(1, len(parts) + 1):
            installed.setitem(sys.modules, ".".join(parts[:depth]), ModuleType(parts[depth - 1]))
        kind = type("AttributeDict", (dict,), {"__module__": module})
        sys.modules[module].AttributeDict = kind  # type: ignore[attr-defined]
        torch.save({"state_dict": {"w": torch.ones(2)}, "hyper_parameters": kind(lr=0.1)}, tmp_path / "last.ckpt")
    with open_weights(tmp_path / "last.ckpt", allow_pickle=True) as found:
        assert list(found.entries) == ["w"]
