"""What every kind of weights file is to weightgen: named tensors, whose rows are read when they are wanted."""

from __future__ import annotations

import abc
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self

import numpy as np

from weightgen.errors import InputError, printable
from weightgen.models.header import Entry
from weightgen.models.packed import refuse_packed
from weightgen.models.tensorfile import CHUNK

WRAPPERS = ("module.", "_orig_mod.")  # DistributedDataParallel, torch.compile


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


def present(found: Mapping[str, Entry], source: Path) -> tuple[dict[str, Entry], dict[str, str]]:
    """Strip wrapper prefixes shared by all names; return the entries and the stored name of each."""
    if not found:
        raise broken(source, "holds no tensors.")
    refuse_packed(found, source)
    cut = 0
    while prefix := next((w for w in WRAPPERS if all(n.startswith(w, cut) for n in found)), ""):
        cut += len(prefix)
    return {n[cut:]: e for n, e in found.items()}, {n[cut:]: n for n in found}


def broken(path: Path, what: str) -> InputError:
    """Return the error of weights that cannot be used."""
    return InputError(f"{printable(str(path))}: {what}")
