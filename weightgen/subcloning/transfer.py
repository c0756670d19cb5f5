"""Executing a plan: one tensor at a time, reading only the rows it needs, memory independent of the source."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from weightgen.console import Progress
from weightgen.models.axes import Kind
from weightgen.models.named_tensors import Weights
from weightgen.models.shards import SHARD_BYTES, write_shards
from weightgen.models.tensorfile import numpy_dtype
from weightgen.models.weights import count_nonfinite
from weightgen.subcloning.plan import Plan, TensorPlan
from weightgen.subcloning.resample import RESAMPLERS

if TYPE_CHECKING:
    import torch

    from weightgen.models.architecture import Architecture

CHUNK_BYTES = 1 << 20

Filler = Callable[["torch.nn.Module"], object]
"""Sets the weights of a model in place."""


@dataclass(frozen=True)
class Transferred:
    """What a transfer found on its way."""

    nonfinite: Mapping[str, int]
    """Target tensor -> NaN and infinite values that its source brought."""


def initial_values(
    target: Architecture, names: list[str], seed: int, fill: Filler | None = None
) -> dict[str, np.ndarray]:
    """Return the named tensors as the target's own library initialises them, float32, from a seed.

    The whole target is built for it, since libraries initialise whole models; `fill` then changes it in place.
    """
    if not names:
        return {}
    from weightgen.models.loading import initialised

    model = initialised(target, seed)
    if fill is not None:
        fill(model)
    state = model.state_dict()
    return {n: state[n].float().numpy() if state[n].is_floating_point() else state[n].numpy() for n in names}


def pieces(plan: Plan, tensor: TensorPlan, weights: Weights, initial: Mapping[str, np.ndarray]) -> Iterator[np.ndarray]:
    """Yield a target tensor's values in order, as arrays of its own dtype."""
    out = numpy_dtype(tensor.dtype)
    if tensor.source is None:
        yield initial[tensor.name].astype(out)
        return
    stored = numpy_dtype(weights.entries[tensor.source].dtype)
    if tensor.resample:
        yield _resampled(plan, tensor, weights, stored).astype(out)
        return
    if not tensor.shape:
        yield weights.read(tensor.source).view(stored).astype(out)
        return
    rows = plan.indices(tensor, 0)
    others = [(i, plan.indices(tensor, i)) for i in range(1, len(tensor.shape))]
    missing = np.flatnonzero(rows < 0) if rows is not None else np.zeros(0, dtype=np.int64)
    if len(missing):
        assert rows is not None
        rows = np.maximum(rows, 0)
    done = 0
    for piece in weights.iter_rows(tensor.source, rows, CHUNK_BYTES):
        piece = piece.reshape(len(piece), *tensor.source_shape[1:])
        for dimension, indices in others:
            if indices is not None:
                piece = np.take(piece, indices, axis=dimension)
        values = piece.view(stored)
        if tensor.scale != 1.0:
            values = (values.astype(np.float32) * np.float32(tensor.scale)).astype(out)
        elif out != stored:
            values = values.astype(np.float32).astype(out)
        here = missing[(missing >= done) & (missing < done + len(values))]
        if len(here):
            values = values.copy()
            values[here - done] = initial[tensor.name][here].astype(out)
        done += len(values)
        yield values


def _resampled(plan: Plan, tensor: TensorPlan, weights: Weights, stored: np.dtype[Any]) -> np.ndarray:
    """Cut the free axes, then resample the others in float32."""
    import torch

    assert tensor.source is not None
    value = weights.read(tensor.source)
    for i in range(value.ndim):
        indices = plan.indices(tensor, i)
        if indices is not None:
            value = np.take(value, indices, axis=i)
    result = torch.from_numpy(value.view(stored).astype(np.float32))
    prefix = sum(
        plan.selections[a].target_size
        for d in tensor.dims
        for t in d
        for a in t
        if a.name.startswith("prefix") and any(x.kind is Kind.GRID for y in d for x in y)
    )
    for kind in tensor.resample:
        result = RESAMPLERS[kind](result, tensor.dims, tensor.shape, prefix, tensor.name)
    array: np.ndarray = result.numpy() * np.float32(tensor.scale)
    return array


def needs_initial(plan: Plan) -> list[str]:
    """Return the tensors that take values from the target library's own initialisation."""
    return [
        t.name
        for t in plan.tensors
        if t.source is None
        or any(a.kind is Kind.VOCAB and (plan.selections[a].indices < 0).any() for d in t.dims for x in d for a in x)
    ]


def execute(
    plan: Plan,
    weights: Weights,
    initial: Mapping[str, np.ndarray],
    directory: Path,
    progress: Progress | None = None,
    shard_bytes: int = SHARD_BYTES,
) -> Transferred:
    """Write the target's weights into a directory: `model.safetensors`, or shards and an index where large."""
    tensors = {t.name: t for t in plan.tensors}
    nonfinite: dict[str, int] = {}

    def counted(name: str) -> Iterator[np.ndarray]:
        for piece in pieces(plan, tensors[name], weights, initial):
            bad = count_nonfinite(piece, tensors[name].dtype)
            if bad:
                nonfinite[name] = nonfinite.get(name, 0) + bad
            yield piece

    write_shards(directory, [(t.name, t.dtype, t.shape) for t in plan.tensors], counted, progress, shard_bytes)
    return Transferred(nonfinite)


def nbytes(tensor: TensorPlan) -> int:
    """Size of a target tensor in bytes."""
    return math.prod(tensor.shape) * numpy_dtype(tensor.dtype).itemsize


def in_memory(plan: Plan, weights: Weights, initial: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Execute a plan into arrays, for modules in memory and for tests."""
    made = {}
    for tensor in plan.tensors:
        parts = [p.reshape(-1) for p in pieces(plan, tensor, weights, initial)]
        made[tensor.name] = np.concatenate(parts).reshape(tensor.shape) if parts else np.zeros(tensor.shape)
    return made
