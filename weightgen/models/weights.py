"""Weights from a directory, a file, an index, a pickle or memory: one interface, rows on demand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from weightgen.errors import UsageError, printable
from weightgen.models.memory_weights import MemoryWeights
from weightgen.models.named_tensors import Weights, broken, present
from weightgen.models.pickles import load_pickle
from weightgen.models.tensorfile import CHUNK, Entry, TensorFile, numpy_dtype, row_pieces
from weightgen.publishing.checkpoint import recover
from weightgen.reading.files import leads_outside, read_small
from weightgen.reading.json_files import strict_json

if TYPE_CHECKING:
    import torch

MAX_INDEX = 10_000_000  # the index of a model with 10,000 tensors takes about 1 MB
DIRECTORY_FILES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
PICKLES = (".bin", ".pt", ".pth", ".th", ".ckpt", ".tar")
"""Suffixes; timm's own training writes .pth.tar, Lightning's .ckpt."""


class ShardedWeights(Weights):
    """Tensors of one or more safetensors files, of which at most one is open at any time."""

    def __init__(self, shards: Mapping[Path, list[str] | None], source: Path) -> None:
        """`shards` maps each file to the tensors wanted from it (None: all of them)."""
        self.files = list(shards)
        self._open: TensorFile | None = None
        found: dict[str, Entry] = {}
        homes: dict[str, Path] = {}
        for path, names in shards.items():
            entries = self._file(path).entries
            for name in entries if names is None else names:
                if name not in entries:
                    self.close()
                    raise broken(source, f"tensor '{printable(name)}' is not in its shard {printable(path.name)}.")
                found[name], homes[name] = entries[name], path
        self.close()
        self.entries, self._stored = present(found, source)
        self._homes = homes

    def _file(self, path: Path) -> TensorFile:
        if self._open is None or self._open.path != path:
            self.close()
            self._open = TensorFile(path)
        return self._open

    def _locate(self, name: str) -> tuple[TensorFile, str]:
        stored = self._stored[name]
        file = self._file(self._homes[stored])
        if file.entries.get(stored) != self.entries[name]:
            raise broken(file.path, f"tensor '{printable(stored)}' moved: the file was replaced while in use.")
        return file, stored

    def read(self, name: str) -> np.ndarray:
        file, stored = self._locate(name)
        return file.read(stored)

    def iter_rows(self, name: str, rows: np.ndarray | None = None, chunk_bytes: int = CHUNK) -> Iterator[np.ndarray]:
        if not self.entries[name].shape and rows is None:
            yield self.read(name)
            return
        for part in row_pieces(self.entries[name], rows, chunk_bytes):
            file, stored = self._locate(name)  # again for each piece: another shard may have been read in between
            yield file.read_rows(stored, part)

    def close(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None


def open_weights(path: Path, allow_pickle: bool = False) -> Weights:
    """Open a directory, a .safetensors file, an index or (with `allow_pickle`) a pickle.

    Raises InputError when a file is missing, broken or unsafe, UsageError when the kind of file is unknown.
    """
    path = Path(path)
    if not path.exists():
        recover(path.resolve())
    if path.is_dir():
        path = _in_directory(path)
    if path.name.endswith(".index.json"):
        return _open_index(path, allow_pickle)
    if path.suffix == ".safetensors":
        return ShardedWeights({path: None}, path)
    if path.suffix in PICKLES:
        return _open_pickles([path], path, None, allow_pickle)
    raise UsageError(
        f"{printable(str(path))}: not a kind of weights file. "
        f"Use a directory, .safetensors, .index.json or {', '.join(PICKLES)}."
    )


def count_nonfinite(piece: np.ndarray, dtype_code: str) -> int:
    """Count NaN and infinity in a piece of integers whose real type is `dtype_code`."""
    dtype = numpy_dtype(dtype_code)
    if dtype.kind in "biu":
        return 0
    return int(piece.size - np.count_nonzero(np.isfinite(piece.view(dtype))))


def _in_directory(directory: Path) -> Path:
    for name in DIRECTORY_FILES:
        if (directory / name).exists() or (directory / name).is_symlink():
            return directory / name
    others = sorted(p.name for p in directory.glob("*.safetensors"))[:3]
    hint = f" Name one of: {', '.join(map(printable, others))}." if others else " Check the path."
    raise broken(directory, f"no weights: expected one of {', '.join(DIRECTORY_FILES)}.{hint}")


def _open_index(path: Path, allow_pickle: bool) -> Weights:
    shards = _read_index(path)
    for shard in shards:
        _check_shard(path, shard)
    if all(shard.suffix == ".safetensors" for shard in shards):
        return ShardedWeights(shards, path)
    if all(shard.suffix in PICKLES for shard in shards):
        wanted = {name for names in shards.values() for name in names}
        return _open_pickles(list(shards), path, wanted, allow_pickle)
    raise broken(path, "the shards must all be .safetensors or all be pickles.")


def _read_index(path: Path) -> dict[Path, list[str]]:
    raw = read_small(path, MAX_INDEX)
    try:
        index = strict_json(raw)
    except ValueError as error:
        raise broken(path, f"not valid JSON ({error}). Download the file again.") from None
    weight_map = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(weight_map, dict) or not weight_map:
        raise broken(path, "expected a 'weight_map' of tensor names to file names.")
    shards: dict[Path, list[str]] = {}
    for name, shard in weight_map.items():
        if not isinstance(shard, str) or not _is_plain(shard):
            raise broken(path, f"shard '{printable(str(shard))}' is not a plain file name. The index is unsafe.")
        shards.setdefault(path.parent / shard, []).append(name)
    return shards


def _is_plain(name: str) -> bool:
    # Lexical, so that the answer does not depend on what is on this disk; the backslash separates on Windows.
    return name.isprintable() and not set(name) & {"/", "\\", ":"} and name not in ("", ".", "..")


def _check_shard(index: Path, shard: Path) -> None:
    if not shard.exists():
        raise broken(
            index, f"shard {printable(shard.name)} is missing. Download it into {printable(str(index.parent))}."
        )
    if leads_outside(shard, index.parent):
        raise broken(
            index, f"shard {printable(shard.name)} is a link to a file outside its directory. Replace it by the file."
        )


def _open_pickles(paths: list[Path], source: Path, wanted: set[str] | None, allow_pickle: bool) -> MemoryWeights:
    if not allow_pickle:
        raise broken(
            source, "a pickle can run code when it is read. Use a .safetensors file, or --allow-pickle if you trust it."
        )
    tensors: dict[str, torch.Tensor] = {}
    for path in paths:
        tensors |= load_pickle(path)
    missing = sorted((wanted or set()) - set(tensors))
    if missing:
        raise broken(source, f"tensor '{printable(missing[0])}' is in none of the shards.")
    return MemoryWeights({k: v for k, v in tensors.items() if wanted is None or k in wanted}, paths)
