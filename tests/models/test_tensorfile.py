"""Safetensors files: the same bytes as the safetensors library, and nothing broken is accepted."""

from __future__ import annotations

import os
import stat
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import deserialize, safe_open
from safetensors.numpy import save
from safetensors.torch import load_file, save_file

from tests.attacks.safetensors_files import build, tensor
from weightgen.models import header, tensorfile
from weightgen.models.header import ITEMSIZE, bytes_dtype, numpy_dtype
from weightgen.models.tensorfile import TensorFile, read_header
from weightgen.models.tensorwriter import TensorWriter

SHAPES = st.lists(st.integers(0, 5), max_size=4).map(tuple)
NAMES = st.text(st.characters(categories=("L", "N")) | st.sampled_from("._"), min_size=1, max_size=12)
TENSORS = st.dictionaries(NAMES, st.tuples(st.sampled_from(sorted(ITEMSIZE)), SHAPES), max_size=6)


def values(code: str, shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Random bits of the width of `code`."""
    rng = np.random.default_rng(seed)
    array = rng.integers(0, 256, (*shape, ITEMSIZE[code]), dtype=np.uint8)
    if code == "BOOL":
        array &= 1
    return array.view(bytes_dtype(code)).reshape(shape)


@given(tensors=TENSORS, seed=st.integers(0, 99), chunk=st.integers(1, 200))
@settings(max_examples=60, deadline=None)
def test_a_written_file_is_what_the_safetensors_library_reads(
    tmp_path_factory: pytest.TempPathFactory, tensors: dict[str, tuple[str, tuple[int, ...]]], seed: int, chunk: int
) -> None:
    folder = tmp_path_factory.mktemp("round")
    arrays = {name: values(code, shape, seed) for name, (code, shape) in tensors.items()}
    with TensorWriter(folder / "a.safetensors", [(n, c, s) for n, (c, s) in tensors.items()], {"k": "é"}) as writer:
        for name, array in arrays.items():
            writer.append(name, array)
    theirs = dict(deserialize((folder / "a.safetensors").read_bytes()))
    assert {n: (i["dtype"], tuple(i["shape"]), bytes(i["data"])) for n, i in theirs.items()} == {
        n: (tensors[n][0], tensors[n][1], arrays[n].tobytes()) for n in tensors
    }
    entries, metadata = read_header(folder / "a.safetensors")
    assert metadata == {"k": "é"}
    assert all(entry.start % entry.itemsize == 0 for entry in entries.values())  # torch cannot view unaligned bytes
    with TensorFile(folder / "a.safetensors") as file:
        for name, array in arrays.items():
            np.testing.assert_array_equal(file.read(name), array, strict=True)
            pieces = list(file.iter_rows(name, chunk_bytes=chunk))
            np.testing.assert_array_equal(np.concatenate(pieces) if array.ndim else pieces[0], array, strict=True)


@given(tensors=TENSORS, seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_a_file_of_the_safetensors_library_is_read(
    tmp_path_factory: pytest.TempPathFactory, tensors: dict[str, tuple[str, tuple[int, ...]]], seed: int
) -> None:
    path = tmp_path_factory.mktemp("theirs") / "a.safetensors"
    arrays = {n: values(c, s, seed).view(numpy_dtype(c)) for n, (c, s) in tensors.items() if c in header.NUMPY_NAMES}
    path.write_bytes(save(arrays, {"format": "np"}))
    with TensorFile(path) as file:
        assert file.metadata == {"format": "np"}
        assert set(file.entries) == set(arrays)
        for name, array in arrays.items():
            got = file.read(name)
            np.testing.assert_array_equal(got, array.view(got.dtype), strict=True)


def test_torch_types_without_a_numpy_type_keep_their_bits(tmp_path: Path) -> None:
    import torch

    codes = {"BF16": torch.bfloat16, "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2}
    tensors = {code: torch.tensor([1.0, -2.5, 0.25, 3.0]).to(dtype) for code, dtype in codes.items()}
    save_file(tensors, tmp_path / "a.safetensors")
    declared = [(c, c, (4,)) for c in codes]
    with TensorFile(tmp_path / "a.safetensors") as file, TensorWriter(tmp_path / "b.safetensors", declared) as writer:
        for code in codes:
            assert file.entries[code].dtype == code
            assert file.read(code).view(numpy_dtype(code)).astype(np.float32).tolist() == [1.0, -2.5, 0.25, 3.0]
            writer.append(code, file.read(code))
    loaded = load_file(tmp_path / "b.safetensors")
    assert all(torch.equal(loaded[c].float(), tensors[c].float()) and loaded[c].dtype == codes[c] for c in codes)
    with safe_open(tmp_path / "b.safetensors", "pt") as theirs:
        assert theirs.metadata() == {"format": "pt"}


@given(data=st.data(), shape=st.lists(st.integers(1, 9), min_size=1, max_size=3), chunk=st.integers(1, 300))
@settings(max_examples=150, deadline=None)
def test_selected_rows_equal_numpy_take(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, shape: list[int], chunk: int
) -> None:
    shape[0] = data.draw(st.integers(1, 60))
    rows = np.array(data.draw(st.lists(st.integers(0, shape[0] - 1), max_size=80)), np.int64)
    if data.draw(st.booleans()):
        rows.sort()
    array = values("F32", tuple(shape), 1)
    path = tmp_path_factory.mktemp("rows") / "a.safetensors"
    with TensorWriter(path, [("first", "U8", (3,)), ("w", "F32", shape)]) as writer:
        writer.append("first", np.zeros(3, np.uint8))
        writer.append("w", array)
    with pytest.MonkeyPatch.context() as patch, TensorFile(path) as file:
        patch.setattr(tensorfile, "MAX_GAP", data.draw(st.sampled_from([0, 20, 1 << 20])))
        patch.setattr(tensorfile, "CHUNK", data.draw(st.sampled_from([1, 50, 1 << 20])))
        np.testing.assert_array_equal(file.read_rows("w", rows), array.take(rows, axis=0), strict=True)
        pieces = list(file.iter_rows("w", rows, chunk_bytes=chunk))
    np.testing.assert_array_equal(np.concatenate(pieces), array.take(rows, axis=0), strict=True)
    assert all(piece.nbytes <= max(chunk, array[0].nbytes) for piece in pieces)


@pytest.mark.parametrize("rows", [[-1], [4], [0.5], [[0]], [True]], ids=str)
def test_rows_outside_the_tensor_are_refused(tmp_path: Path, rows: list[Any]) -> None:
    (tmp_path / "a.safetensors").write_bytes(build({"w": tensor(0, 16, (4,)), "s": tensor(16, 20, ())}, b"\0" * 20))
    with TensorFile(tmp_path / "a.safetensors") as file:
        with pytest.raises(IndexError, match="w: rows"):
            file.read_rows("w", np.array(rows))
        with pytest.raises(IndexError, match="0-d"):
            list(file.iter_rows("s", np.array([0])))


def count_reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    sizes: list[int] = []
    plain = os.preadv

    def counted(descriptor: int, buffers: list[memoryview], offset: int) -> int:
        sizes.append(plain(descriptor, buffers, offset))
        return sizes[-1]

    monkeypatch.setattr(os, "preadv", counted)
    return sizes


def test_near_rows_are_read_together_and_far_rows_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.safetensors"
    with TensorWriter(path, [("w", "F32", (4096, 256))]) as writer:
        for i in range(0, 4096, 256):
            writer.append("w", np.full((256, 256), i, np.float32))
    with TensorFile(path) as file:
        sizes = count_reads(monkeypatch)
        file.read_rows("w", np.arange(0, 512, 2))
        assert len(sizes) == 1
        assert sizes[0] == 511 * 1024
        sizes.clear()
        file.read_rows("w", np.array([0, 1, 4000, 4001]))
        assert sizes == [2048, 2048]


def test_streaming_needs_memory_for_a_few_chunks_only(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    with TensorWriter(path, [("w", "F32", (16384, 256))]) as writer:  # 16 MiB
        for _ in range(16):
            writer.append("w", np.zeros((1024, 256), np.float32))
    tracemalloc.start()
    with TensorFile(path) as file, TensorWriter(tmp_path / "b.safetensors", [("w", "F32", (8192, 256))]) as writer:
        for piece in file.iter_rows("w", np.arange(0, 16384, 2)):
            writer.append("w", piece)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 << 20


@pytest.mark.parametrize(
    ("pieces", "wording"),
    [
        ([("b", (1,), "u4")], "expected a piece of 'a', found 'b'"),
        ([("a", (1, 3), "u2")], "expected F32 values, found uint16"),
        ([("a", (1, 3), "i4")], "expected F32 values, found int32"),
        ([("a", (1, 2), "u4")], "expected rows of shape"),
        ([("a", (3, 3), "u4")], "36 bytes given"),
        ([("a", (1, 3), "u4")], "'a' is incomplete"),
        ([("a", (1, 3), "u4"), ("b", (1,), "u4")], "expected a piece of 'a', found 'b'"),
        ([("a", (2, 3), "u4")], "'b' is incomplete"),
        ([("a", (2, 3), "u4"), ("b", (1,), "u4"), ("c", (1,), "u4")], "expected a piece of None, found 'c'"),
    ],
)
def test_wrong_pieces_are_refused_and_leave_no_file(tmp_path: Path, pieces: list[Any], wording: str) -> None:
    def write() -> None:
        declared = [("a", "F32", (2, 3)), ("e", "F32", (0,)), ("b", "F32", (1,))]
        with TensorWriter(tmp_path / "a.safetensors", declared) as writer:
            for name, shape, dtype in pieces:
                writer.append(name, np.zeros(shape, dtype))

    with pytest.raises(ValueError, match=wording):
        write()
    assert list(tmp_path.iterdir()) == []


def test_a_tensor_declared_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'a' is used twice"):
        TensorWriter(tmp_path / "a.safetensors", [("a", "F32", (1,)), ("a", "F32", (1,))])


def test_a_file_that_exists_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_text("mine")
    with pytest.raises(FileExistsError):
        TensorWriter(tmp_path / "a.safetensors", [])
    assert (tmp_path / "a.safetensors").read_text() == "mine"


@pytest.mark.parametrize("umask", [0o022, 0o027])
def test_the_mode_follows_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        TensorWriter(tmp_path / "a.safetensors", []).close()
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.safetensors").stat().st_mode) == 0o666 & ~umask
