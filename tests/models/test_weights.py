"""Weights from every kind of place, through one interface; hostile places are refused."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tests.attacks.indexes import index
from weightgen.errors import InputError
from weightgen.models import weights
from weightgen.models.memory_weights import MemoryWeights
from weightgen.models.named_tensors import Weights
from weightgen.models.weights import ShardedWeights, count_nonfinite, open_weights

TENSORS = {
    "a": torch.arange(60.0).reshape(12, 5),
    "b": torch.arange(7.0).bfloat16(),
    "c": torch.tensor(3, dtype=torch.int64),
    "d": torch.zeros(0, 4, dtype=torch.float16),
    "e": torch.tensor([1.0, -2.0]).to(torch.float8_e4m3fn),
}


def from_file(folder: Path) -> Weights:
    save_file(TENSORS, folder / "x.safetensors")
    return open_weights(folder / "x.safetensors")


def from_directory(folder: Path) -> Weights:
    save_file(TENSORS, folder / "model.safetensors")
    return open_weights(folder)


def shards(folder: Path, save: Callable[[dict[str, torch.Tensor], Path], Any], suffix: str, name: str) -> None:
    parts = {"1" + suffix: ("a", "d"), "2" + suffix: ("b", "c", "e")}
    for file, names in parts.items():
        save({n: TENSORS[n] for n in names}, folder / file)
    (folder / name).write_bytes(index(**{n: file for file, names in parts.items() for n in names}))


def from_index(folder: Path) -> Weights:
    shards(folder, save_file, ".safetensors", "model.safetensors.index.json")
    return open_weights(folder)


def from_pickle(folder: Path) -> Weights:
    torch.save({"epoch": 3, "state_dict": TENSORS, "model": {"x": torch.zeros(1)}}, folder / "x.pth")
    return open_weights(folder / "x.pth", allow_pickle=True)


def from_pickle_index(folder: Path) -> Weights:
    shards(folder, torch.save, ".bin", "pytorch_model.bin.index.json")
    return open_weights(folder, allow_pickle=True)


def from_memory(folder: Path) -> Weights:
    return MemoryWeights({**TENSORS, "a": TENSORS["a"].numpy()})


PLACES = [from_file, from_directory, from_index, from_pickle, from_pickle_index, from_memory]


@pytest.mark.parametrize("place", PLACES, ids=lambda p: p.__name__)
def test_all_places_give_the_same_bits(tmp_path: Path, place: Callable[[Path], Weights]) -> None:
    with place(tmp_path) as found:
        assert {n: (e.dtype, e.shape) for n, e in found.entries.items()} == {
            "a": ("F32", (12, 5)),
            "b": ("BF16", (7,)),
            "c": ("I64", ()),
            "d": ("F16", (0, 4)),
            "e": ("F8_E4M3", (2,)),
        }
        rows = np.array([7, 2, 2, 11])
        for name, tensor in TENSORS.items():
            bits = tensor.reshape(-1).view(torch.uint8).numpy().tobytes()
            assert found.read(name).tobytes() == bits
            assert b"".join(p.tobytes() for p in found.iter_rows(name, chunk_bytes=24)) == bits
            assert found.read(name).dtype.kind == "u"
        assert (
            np.concatenate(list(found.iter_rows("a", rows, 20))).view(np.float32).tolist()
            == TENSORS["a"][rows].tolist()
        )
        assert [p.shape for p in found.iter_rows("d")] == [(0, 4)]
        with pytest.raises(IndexError):
            list(found.iter_rows("a", np.array([-1])))
        with pytest.raises(IndexError):
            list(found.iter_rows("c", np.array([0])))


@pytest.mark.parametrize("place", [from_file, from_memory], ids=lambda p: p.__name__)
def test_pieces_are_copies_that_may_be_changed(tmp_path: Path, place: Callable[[Path], Weights]) -> None:
    with place(tmp_path) as found:
        for array in (found.read("a"), *found.iter_rows("a"), *found.iter_rows("a", np.arange(12))):
            array[:] = 7
        assert found.read("a").view(np.float32).tolist() == TENSORS["a"].tolist()


def test_shards_may_be_read_in_turns_with_one_file_open(tmp_path: Path) -> None:
    with from_index(tmp_path) as found:
        pieces = found.iter_rows("a", chunk_bytes=20)
        joined = []
        for piece in pieces:
            joined.append(piece)
            found.read("b")
            links = [os.readlink(f"/proc/self/fd/{d}") for d in os.listdir("/proc/self/fd") if _exists(d)]
            assert [link for link in links if link.startswith(str(tmp_path))] == [str(tmp_path / "2.safetensors")]
        assert np.concatenate(joined).view(np.float32).tolist() == TENSORS["a"].tolist()
        assert found.files == [tmp_path / "1.safetensors", tmp_path / "2.safetensors"]


def _exists(descriptor: str) -> bool:
    return os.path.lexists(f"/proc/self/fd/{descriptor}")


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (["module.a", "module.b"], ["a", "b"]),
        (["_orig_mod.module.a", "_orig_mod.module.b"], ["a", "b"]),
        (["module.a", "b"], ["module.a", "b"]),
        (["modulea.x"], ["modulea.x"]),
    ],
)
def test_a_wrapper_prefix_is_removed_when_all_names_share_it(names: list[str], shown: list[str]) -> None:
    found = MemoryWeights({n: np.array([i], np.float32) for i, n in enumerate(names)})
    assert list(found.entries) == shown
    assert [found.read(n).view(np.float32)[0] for n in shown] == list(range(len(names)))


def test_memory_of_any_layout_is_read_in_order() -> None:
    base = torch.arange(12.0).reshape(3, 4)
    found = MemoryWeights(
        {
            "t": base.t(),
            "n": base.numpy()[:, ::2],
            "big": np.arange(3, dtype=">f4"),
            "j": -base.to(torch.complex64).conj(),
        }
    )
    assert found.read("t").view(np.float32).tolist() == base.t().tolist()
    assert found.read("n").view(np.float32).tolist() == base[:, ::2].tolist()
    assert found.read("big").view(np.float32).tolist() == [0, 1, 2]
    assert found.read("j").view(np.complex64).tolist() == (-base.to(torch.complex64)).tolist()


@pytest.mark.parametrize(
    "tensor",
    [torch.zeros(2, dtype=torch.complex128), torch.zeros(2, 2).to_sparse(), torch.zeros(2, device="meta")],
    ids=["complex128", "sparse", "meta"],
)
def test_memory_without_plain_values_is_refused(tensor: torch.Tensor) -> None:
    with pytest.raises(InputError, match=r"tensor 'w': .* cannot be read as plain values"):
        MemoryWeights({"w": tensor})


U8, F8 = np.zeros(4, np.uint8), np.zeros(4, ml_dtypes.float8_e4m3fn)


@pytest.mark.parametrize(
    ("tensors", "scheme"),
    [
        ({"l.qweight": np.zeros(4, np.int32)}, "GPTQ or AWQ"),
        ({"l.qzeros": np.zeros(4, np.int32)}, "GPTQ or AWQ"),
        ({"l.weight": np.zeros(4, np.int8), "l.SCB": U8}, "bitsandbytes 8-bit"),
        ({"l.weight": U8, "l.weight.quant_state.bitsandbytes__nf4": U8}, "bitsandbytes 4-bit"),
        ({"l.weight_packed": U8}, "compressed-tensors"),
        ({"e.gate_up_proj_blocks": U8, "e.gate_up_proj_scales": U8}, "MXFP4"),
        ({"l.weight": F8, "l.weight_scale_inv": np.zeros(1, np.float32)}, "scaled 8-bit"),
    ],
)
def test_packed_weights_are_refused(tensors: dict[str, np.ndarray], scheme: str) -> None:
    with pytest.raises(InputError, match=f"is packed by {scheme}") as caught:
        MemoryWeights(tensors)
    assert "dequantise" in str(caught.value)


def test_names_that_only_look_packed_are_accepted() -> None:
    names = ["down_blocks", "blocks.0.weight", "weight_scale", "l.weight", "l.weight_scale", "my_qweight"]
    assert list(MemoryWeights({n: np.zeros(2, np.float32) for n in names}).entries) == names


@pytest.mark.parametrize("code", ["F32", "F16", "F64", "BF16", "F8_E5M2", "F8_E4M3", "C64"])
def test_nonfinite_values_are_counted(code: str) -> None:
    dtype = weights.numpy_dtype(code)
    array = np.array([[1.0, float("nan")], [0.0, -float("nan")], [2.0, 3.0]]).astype(dtype)
    assert count_nonfinite(array.view(weights.numpy_dtype(f"U{8 * dtype.itemsize}")), code) == 2


def test_integers_are_finite() -> None:
    assert count_nonfinite(np.full(3, 0xFF, np.uint8), "I8") == 0


def test_importing_the_readers_does_not_import_torch() -> None:
    code = "import sys, weightgen.models.weights, weightgen.publishing.checkpoint; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    save_file({}, tmp_path / "x.safetensors")
    with pytest.raises(InputError, match="holds no tensors"):
        ShardedWeights({tmp_path / "x.safetensors": None}, tmp_path / "x.safetensors")
