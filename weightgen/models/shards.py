"""Weights written to a directory tensor by tensor: one safetensors file, or shards and their index where large."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from weightgen.console import Progress
from weightgen.models.tensorfile import numpy_dtype
from weightgen.models.tensorwriter import TensorWriter

SHARD_BYTES = 5_000_000_000  # what transformers and the hub shard at

Declared = tuple[str, str, tuple[int, ...]]
"""A tensor to write: name, safetensors code of its type, shape."""


def write_shards(
    directory: Path,
    tensors: Sequence[Declared],
    pieces: Callable[[str], Iterator[np.ndarray]],
    progress: Progress | None = None,
    shard_bytes: int = SHARD_BYTES,
) -> None:
    """Write the declared tensors; `pieces(name)` yields the rows of one in order, in its declared type.

    The files are `model.safetensors`, or `model-00001-of-0000N.safetensors`, ... and `model.safetensors.index.json`.
    """
    shards = _shards(tensors, shard_bytes)
    names = [_file_name(i, len(shards)) for i in range(len(shards))]
    total = sum(map(nbytes, tensors))
    written = 0
    for file_name, shard in zip(names, shards, strict=True):
        with TensorWriter(directory / file_name, shard) as writer:
            for name, _, _ in shard:
                for piece in pieces(name):
                    writer.append(name, piece)
                    written += piece.nbytes
                    if progress:
                        progress(written, total)
    if len(shards) > 1:
        weight_map = {name: file for file, shard in zip(names, shards, strict=True) for name, _, _ in shard}
        index = {"metadata": {"total_size": total}, "weight_map": weight_map}
        (directory / "model.safetensors.index.json").write_text(json.dumps(index, indent=2, sort_keys=True))


def nbytes(tensor: Declared) -> int:
    """Return the size of a tensor in bytes."""
    _, dtype, shape = tensor
    return math.prod(shape) * numpy_dtype(dtype).itemsize


def _file_name(index: int, count: int) -> str:
    return "model.safetensors" if count == 1 else f"model-{index + 1:05d}-of-{count:05d}.safetensors"


def _shards(tensors: Sequence[Declared], limit: int) -> list[list[Declared]]:
    shards: list[list[Declared]] = [[]]
    size = 0
    for tensor in tensors:
        if shards[-1] and size + nbytes(tensor) > limit:
            shards.append([])
            size = 0
        shards[-1].append(tensor)
        size += nbytes(tensor)
    return shards
