"""Weights from a directory, a file, an index, a pickle or memory: one interface, rows on demand."""

from __future__ import annotations

import abc
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from weightgen.errors import InputError, UsageError, printable
from weightgen.models.header import ML_DTYPES_NAMES, NUMPY_NAMES
from weightgen.models.packed import refuse_packed
from weightgen.models.pickles import load_pickle
from weightgen.models.tensorfile import CHUNK, Entry, TensorFile, checked_rows, numpy_dtype, row_pieces
from weightgen.publishing.checkpoint import recover
from weightgen.reading.files import read_small
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
PICKLES = (".bin", ".pt", ".pth")
WRAPPERS = ("module.", "_orig_mod.")  # DistributedDataParallel, torch.compile
CODES = {name: code for code, name in (NUMPY_NAMES | ML_DTYPES_NAMES).items()}


class Weights(abc.ABC):
    """Named tensors whose values are moved as unsigned integers; `entries` tells type and shape."""

    entries: Mapping[str, Entry]
    files: list[Path]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @abc.abstractmethod
    def read(self, name: str) -> np.ndarray:
        """Return a whole tensor, as a new array."""

    @abc.abstractmethod
    def iter_rows(self, name: str, rows: np.ndarray | None = None, chunk_bytes: int = CHUNK) -> Iterator[np.ndarray]:
        """Yield the given rows (all by default) in consecutive new pieces of about `chunk_bytes`."""

    @abc.abstractmethod
    def close(self) -> None:
        """Let go of files and memory."""


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
                    raise _broken(source, f"tensor '{printable(name)}' is not in its shard {printable(path.name)}.")
                found[name], homes[name] = entries[name], path
        self.close()
        self.entries, self._stored = _present(found, source)
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
            raise _broken(file.path, f"tensor '{printable(stored)}' moved: the file was replaced while in use.")
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


class MemoryWeights(Weights):
    """Tensors that are already in memory (or mapped into it)."""

    def __init__(self, tensors: Mapping[str, torch.Tensor | np.ndarray], files: list[Path] | None = None) -> None:
        self.files = files or []
        source = self.files[0] if self.files else Path("(memory)")
        found = {name: _memory_entry(name, tensor, source) for name, tensor in tensors.items()}
        self.entries, self._stored = _present(found, source)
        self._tensors = dict(tensors)

    def read(self, name: str) -> np.ndarray:
        return _as_integers(self._tensors[self._stored[name]]).copy()

    def iter_rows(self, name: str, rows: np.ndarray | None = None, chunk_bytes: int = CHUNK) -> Iterator[np.ndarray]:
        array = _as_integers(self._tensors[self._stored[name]])
        if array.ndim == 0 and rows is None:
            yield array.copy()
            return
        for part in row_pieces(self.entries[name], rows, chunk_bytes):
            if isinstance(part, range):
                yield array[part.start : part.stop].copy()
            else:
                yield array[checked_rows(part, self.entries[name], name)]

    def close(self) -> None:
        self._tensors = {}


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


def _broken(path: Path, what: str) -> InputError:
    return InputError(f"{printable(str(path))}: {what}")


def _in_directory(directory: Path) -> Path:
    for name in DIRECTORY_FILES:
        if (directory / name).exists() or (directory / name).is_symlink():
            return directory / name
    others = sorted(p.name for p in directory.glob("*.safetensors"))[:3]
    hint = f" Name one of: {', '.join(map(printable, others))}." if others else " Check the path."
    raise _broken(directory, f"no weights: expected one of {', '.join(DIRECTORY_FILES)}.{hint}")


def _open_index(path: Path, allow_pickle: bool) -> Weights:
    shards = _read_index(path)
    for shard in shards:
        _check_shard(path, shard)
    if all(shard.suffix == ".safetensors" for shard in shards):
        return ShardedWeights(shards, path)
    if all(shard.suffix in PICKLES for shard in shards):
        wanted = {name for names in shards.values() for name in names}
        return _open_pickles(list(shards), path, wanted, allow_pickle)
    raise _broken(path, "the shards must all be .safetensors or all be pickles.")


def _read_index(path: Path) -> dict[Path, list[str]]:
    raw = read_small(path, MAX_INDEX)
    try:
        index = strict_json(raw)
    except ValueError as error:
        raise _broken(path, f"not valid JSON ({error}). Download the file again.") from None
    weight_map = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(weight_map, dict) or not weight_map:
        raise _broken(path, "expected a 'weight_map' of tensor names to file names.")
    shards: dict[Path, list[str]] = {}
    for name, shard in weight_map.items():
        if not isinstance(shard, str) or not _is_plain(shard):
            raise _broken(path, f"shard '{printable(str(shard))}' is not a plain file name. The index is unsafe.")
        shards.setdefault(path.parent / shard, []).append(name)
    return shards


def _is_plain(name: str) -> bool:
    # Lexical, so that the answer does not depend on what is on this disk; the backslash separates on Windows.
    return name.isprintable() and not set(name) & {"/", "\\", ":"} and name not in ("", ".", "..")


def _check_shard(index: Path, shard: Path) -> None:
    if not shard.exists():
        raise _broken(
            index, f"shard {printable(shard.name)} is missing. Download it into {printable(str(index.parent))}."
        )
    home, target = index.parent.resolve(), shard.resolve()
    # The hub's cache is the one known layout whose files are links: snapshots/REVISION/x -> ../../blobs/HASH.
    blobs = home.parent.parent / "blobs" if home.parent.name == "snapshots" else home
    if not target.is_relative_to(home) and target.parent != blobs:
        raise _broken(
            index, f"shard {printable(shard.name)} is a link to a file outside its directory. Replace it by the file."
        )


def _open_pickles(paths: list[Path], source: Path, wanted: set[str] | None, allow_pickle: bool) -> MemoryWeights:
    if not allow_pickle:
        raise _broken(
            source, "a pickle can run code when it is read. Use a .safetensors file, or --allow-pickle if you trust it."
        )
    tensors: dict[str, torch.Tensor] = {}
    for path in paths:
        tensors |= load_pickle(path)
    missing = sorted((wanted or set()) - set(tensors))
    if missing:
        raise _broken(source, f"tensor '{printable(missing[0])}' is in none of the shards.")
    return MemoryWeights({k: v for k, v in tensors.items() if wanted is None or k in wanted}, paths)


def _memory_entry(name: str, tensor: torch.Tensor | np.ndarray, source: Path) -> Entry:
    code = CODES.get(getattr(tensor.dtype, "name", str(tensor.dtype).removeprefix("torch.")))
    layout = str(getattr(tensor, "layout", "torch.strided"))
    if code is None or layout != "torch.strided" or str(getattr(tensor, "device", "cpu")) == "meta":
        raise _broken(source, f"tensor '{printable(name)}': {tensor.dtype} ({layout}) cannot be read as plain values.")
    return Entry(code, tuple(tensor.shape), 0, tensor.nbytes)


def _as_integers(tensor: torch.Tensor | np.ndarray) -> np.ndarray:
    """Return the bytes of a tensor as unsigned integers, sharing its memory when it is on the CPU."""
    if isinstance(tensor, np.ndarray):
        array = tensor.astype(tensor.dtype.newbyteorder("<")) if tensor.dtype.byteorder == ">" else tensor
        return array.view(f"<u{array.itemsize}")
    import torch

    signed = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[tensor.element_size()]
    plain = tensor.detach().cpu().resolve_conj().resolve_neg().view(signed)
    return plain.numpy().view(f"<u{tensor.element_size()}")


def _present(found: Mapping[str, Entry], source: Path) -> tuple[dict[str, Entry], dict[str, str]]:
    """Strip wrapper prefixes shared by all names; return the entries and the stored name of each."""
    if not found:
        raise _broken(source, "holds no tensors.")
    refuse_packed(found, source)
    cut = 0
    while prefix := next((w for w in WRAPPERS if all(n.startswith(w, cut) for n in found)), ""):
        cut += len(prefix)
    return {n[cut:]: e for n, e in found.items()}, {n[cut:]: n for n in found}
