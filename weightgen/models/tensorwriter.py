"""Safetensors files written piece by piece, as their tensors come (no torch)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np

from weightgen.models.header import build_header, bytes_dtype, numpy_dtype


class TensorWriter:
    """Writes a safetensors file piece by piece; tensors come in the declared order.

    Leaving the `with` block by an exception removes the unfinished file.
    """

    def __init__(
        self, path: Path, tensors: Sequence[tuple[str, str, Sequence[int]]], metadata: dict[str, str] | None = None
    ) -> None:
        self.path = Path(path)
        header, self.entries = build_header(tensors, {"format": "pt"} if metadata is None else metadata)
        self._names = [name for name, _, _ in tensors]
        self._current = 0
        self._written = 0  # bytes of the current tensor
        # The mode follows the umask, and a file that exists is never overwritten.
        self._descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            self._write(header, 0)
        except BaseException:
            self.abort()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    def append(self, name: str, piece: np.ndarray) -> None:
        """Write the next rows of `name`: unsigned integers of the same width, or the declared type itself."""
        self._skip_complete(name)
        expected = self._names[self._current] if self._current < len(self._names) else None
        if name != expected:
            raise ValueError(f"{self.path}: expected a piece of {expected!r}, found {name!r}")
        entry = self.entries[name]
        if piece.dtype != bytes_dtype(entry.dtype) and piece.dtype != numpy_dtype(entry.dtype):
            raise ValueError(f"{name}: expected {entry.dtype} values, found {piece.dtype}")
        if piece.shape[1:] != entry.shape[1:] or piece.ndim != len(entry.shape):
            raise ValueError(f"{name}: expected rows of shape {entry.shape}, found {piece.shape}")
        if self._written + piece.nbytes > entry.nbytes:
            raise ValueError(f"{name}: {self._written + piece.nbytes} bytes given, shape {entry.shape} has fewer")
        if piece.nbytes:
            self._write(np.ascontiguousarray(piece).reshape(-1).view(np.uint8).data, entry.start + self._written)
        self._written += piece.nbytes

    def close(self) -> None:
        """Check that every tensor is complete and force the file to disk."""
        self._skip_complete(None)
        if self._current < len(self._names):
            name = self._names[self._current]
            self.abort()
            raise ValueError(f"{self.path}: tensor {name!r} is incomplete at close; the file was removed")
        try:
            os.fsync(self._descriptor)
        except BaseException:
            self.abort()
            raise
        os.close(self._descriptor)
        self._descriptor = -1

    def abort(self) -> None:
        """Remove the unfinished file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
            self.path.unlink(missing_ok=True)

    def _skip_complete(self, name: str | None) -> None:
        while self._current < len(self._names):
            current = self._names[self._current]
            if current == name or self._written < self.entries[current].nbytes:
                return
            self._current += 1
            self._written = 0

    def _write(self, data: bytes | memoryview, offset: int) -> None:
        view = memoryview(data)
        while view:
            try:
                count = os.pwrite(self._descriptor, view, offset)
            except OSError as error:
                error.filename = str(self.path)  # a descriptor has no name of its own, and a full disk should tell
                raise
            view, offset = view[count:], offset + count
