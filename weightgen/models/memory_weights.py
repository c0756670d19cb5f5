"""Weights that are in memory already."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from weightgen.errors import printable
from weightgen.models.header import ML_DTYPES_NAMES, NUMPY_NAMES, Entry
from weightgen.models.named_tensors import Weights, broken, present
from weightgen.models.tensorfile import CHUNK, checked_rows, row_pieces

if TYPE_CHECKING:
    import torch

CODES = {name: code for code, name in (NUMPY_NAMES | ML_DTYPES_NAMES).items()}


class MemoryWeights(Weights):
    """Tensors that are already in memory (or mapped into it)."""

    def __init__(self, tensors: Mapping[str, torch.Tensor | np.ndarray], files: list[Path] | None = None) -> None:
        self.files = files or []
        source = self.files[0] if self.files else Path("(memory)")
        found = {name: _memory_entry(name, tensor, source) for name, tensor in tensors.items()}
        self.entries, self._stored = present(found, source)
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


def _memory_entry(name: str, tensor: torch.Tensor | np.ndarray, source: Path) -> Entry:
    code = CODES.get(getattr(tensor.dtype, "name", str(tensor.dtype).removeprefix("torch.")))
    layout = str(getattr(tensor, "layout", "torch.strided"))
    if code is None or layout != "torch.strided" or str(getattr(tensor, "device", "cpu")) == "meta":
        raise broken(source, f"tensor '{printable(name)}': {tensor.dtype} ({layout}) cannot be read as plain values.")
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
