"""Safetensors files by pread: rows in small pieces (no torch, no mmap)."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import numpy as np

from weightgen.errors import InputError, printable
from weightgen.models.header import (
    MAX_HEADER,
    Entry,
    bytes_dtype,
    numpy_dtype,
    parse_header,
)
from weightgen.reading.files import open_regular

__all__ = ["Entry", "TensorFile", "bytes_dtype", "numpy_dtype", "read_header"]

MAX_GAP = 16 << 10  # bytes: reading over a gap of this size costs about as much as one more system call
CHUNK = 1 << 20


def read_header(path: Path) -> tuple[dict[str, Entry], dict[str, str]]:
    """Return the tensors and the metadata of a safetensors file; raises InputError when anything is wrong."""
    with TensorFile(path) as file:
        return file.entries, file.metadata


class TensorFile:
    """A safetensors file open for reading. Values come as unsigned integers; `entries` tells the type."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._descriptor, size = open_regular(self.path)
        try:
            self.entries, self.metadata = parse_header(self._header(size), size, self._broken)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def read(self, name: str) -> np.ndarray:
        """Return a whole tensor."""
        entry = self.entries[name]
        out = np.empty(entry.shape, bytes_dtype(entry.dtype))
        self._fill(out.reshape(-1).view(np.uint8), entry.start)
        return out

    def read_rows(self, name: str, rows: np.ndarray | range) -> np.ndarray:
        """Return the given rows along dimension 0, in the given order (repeats allowed), as a new array."""
        entry = self.entries[name]
        out = np.empty((len(rows), *entry.shape[1:]), bytes_dtype(entry.dtype))
        if isinstance(rows, range):
            self._fill(out.reshape(-1).view(np.uint8), entry.start + rows.start * _row_bytes(entry))
            return out
        rows = checked_rows(rows, entry, name)
        step = _rows_per(CHUNK, entry)
        for i in range(0, len(rows), step):
            self._pick(out[i : i + step], entry, rows[i : i + step], step)
        return out

    def iter_rows(self, name: str, rows: np.ndarray | None = None, chunk_bytes: int = CHUNK) -> Iterator[np.ndarray]:
        """Yield the rows (all by default) in consecutive pieces of about `chunk_bytes`, at least one row each.

        There is always at least one piece, which may be empty. Every piece is a new array.
        """
        entry = self.entries[name]
        if not entry.shape and rows is None:
            yield self.read(name)
        else:
            for part in row_pieces(entry, rows, chunk_bytes):
                yield self.read_rows(name, part)

    def _broken(self, what: str) -> InputError:
        return InputError(f"{printable(str(self.path))}: {what}")

    def _header(self, size: int) -> bytes:
        raw = np.zeros(8, np.uint8)
        self._fill(raw[: min(size, 8)], 0)
        first = raw.tobytes()
        if first == b"version ":
            raise self._broken("this is a Git LFS pointer, not the weights. Run: git lfs pull")
        if first.startswith(b"PK"):
            raise self._broken("this is a zip archive (a PyTorch pickle?), not safetensors.")
        length = int.from_bytes(first, "little")
        if size < 8:
            raise self._broken(f"truncated: expected 8 bytes of header length, found {size}. Download it again.")
        if length > MAX_HEADER:
            raise self._broken(f"header length {length} is over the limit of {MAX_HEADER}: not a safetensors file.")
        if length > size - 8:
            raise self._broken(
                f"truncated: expected a header of {length} bytes, found {size - 8}. Download the file again."
            )
        header = np.empty(length, np.uint8)
        self._fill(header, 8)
        return header.tobytes()

    def _fill(self, out: np.ndarray, offset: int) -> None:
        view = out.data
        done = 0
        while done < len(view):
            count = os.preadv(self._descriptor, [view[done : done + (1 << 30)]], offset + done)
            if count == 0:
                raise self._broken(f"ends at byte {offset + done}: the file was cut while being read.")
            done += count

    def _pick(self, out: np.ndarray, entry: Entry, rows: np.ndarray, span: int) -> None:
        """Fill `out` with `rows`: near rows are read together, at most `span` rows of the file at a time."""
        width = _row_bytes(entry)
        if not out.size:
            return
        order = None if np.all(rows[1:] >= rows[:-1]) else np.argsort(rows, kind="stable")
        wanted = rows if order is None else rows[order]
        breaks = np.flatnonzero((np.diff(wanted) - 1) * width > MAX_GAP) + 1
        buffer: np.ndarray | None = None
        start = 0
        for end in (*breaks.tolist(), len(wanted)):
            while start < end:
                low = int(wanted[start])
                far = int(wanted[end - 1]) >= low + span
                stop = int(np.searchsorted(wanted[start:end], low + span)) + start if far else end
                height = int(wanted[stop - 1]) - low + 1
                offset = entry.start + low * width
                # One row is its own run: asking numpy about each of thousands would cost as much as reading them.
                if order is None and height == stop - start and (height == 1 or _consecutive(wanted[start:stop])):
                    self._fill(out[start:stop].reshape(-1).view(np.uint8), offset)
                else:
                    if buffer is None:
                        buffer = np.empty((span, *entry.shape[1:]), out.dtype)
                    self._fill(buffer[:height].reshape(-1).view(np.uint8), offset)
                    places = wanted[start:stop] - low
                    if order is None:
                        np.take(buffer, places, axis=0, out=out[start:stop], mode="clip")  # clip: no second buffer
                    else:
                        out[order[start:stop]] = buffer[places]
                start = stop


def row_pieces(entry: Entry, rows: np.ndarray | None, chunk_bytes: int) -> Iterator[np.ndarray | range]:
    """Cut a selection of rows into pieces of about `chunk_bytes`; all rows come as ranges, which cost no memory."""
    if not entry.shape:
        raise IndexError("a 0-d tensor has no rows to select")
    step = _rows_per(chunk_bytes, entry)
    every = range(entry.shape[0]) if rows is None else rows
    for i in range(0, max(len(every), 1), step):
        yield every[i : i + step]


def _row_bytes(entry: Entry) -> int:
    return math.prod(entry.shape[1:]) * entry.itemsize


def _rows_per(chunk_bytes: int, entry: Entry) -> int:
    # No more rows than the tensor has: a chunk never needs a larger buffer than the tensor itself.
    return max(1, min(chunk_bytes // max(1, _row_bytes(entry)), entry.shape[0]))


def _consecutive(rows: np.ndarray) -> bool:
    return bool(np.all(np.diff(rows) == 1))


def checked_rows(rows: np.ndarray, entry: Entry, name: str) -> np.ndarray:
    """Return `rows` as int64; raises IndexError when they do not index dimension 0 of `entry`."""
    rows = np.asarray(rows)
    if not entry.shape or rows.ndim != 1 or (rows.size and rows.dtype.kind not in "iu"):
        raise IndexError(f"{name}: rows must be a vector of integers into shape {entry.shape}")
    if rows.size and (int(rows.min()) < 0 or int(rows.max()) >= entry.shape[0]):
        raise IndexError(f"{name}: rows {rows.min()}..{rows.max()} are outside 0..{entry.shape[0] - 1}")
    return rows.astype(np.int64, copy=False)
