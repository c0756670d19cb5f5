"""Scores of a source's indices and blocks; on disk, importance measured once serves any number of target sizes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from weightgen.errors import UsageError, printable
from weightgen.models.axes import Axis
from weightgen.models.layout import Layout
from weightgen.models.tensorfile import numpy_dtype
from weightgen.models.tensorwriter import TensorWriter
from weightgen.models.weights import open_weights


@dataclass(frozen=True)
class Scores:
    """Importance of the source's indices, and influence of its blocks, both by axis."""

    axes: Mapping[Axis, np.ndarray] = field(default_factory=dict)
    blocks: Mapping[Axis, np.ndarray] = field(default_factory=dict)
    flops: int = 0
    """What measuring them took, in floating point operations of the model."""


def save_scores(scores: Scores, path: Path) -> None:
    """Write scores as safetensors, one tensor per axis; the file must not exist."""
    if path.suffix != ".safetensors":
        raise UsageError(f"{printable(str(path))}: scores are safetensors: give --save-scores a name that says so")
    if path.exists():
        raise UsageError(f"{printable(str(path))} exists: choose another name for --save-scores")
    named = {f"axis/{a}": v for a, v in scores.axes.items()} | {f"blocks/{a}": v for a, v in scores.blocks.items()}
    named["flops"] = np.array([float(scores.flops)])
    arrays = {k: np.ascontiguousarray(v, dtype=np.float64) for k, v in sorted(named.items())}
    with TensorWriter(path, [(k, "F64", v.shape) for k, v in arrays.items()]) as writer:
        for name, values in arrays.items():
            writer.append(name, values)


def load_scores(path: Path, layout: Layout) -> Scores:
    """Read scores for a source; raises UsageError where they belong to another."""
    by_name = {str(a): a for a in layout.sizes}
    found: dict[str, dict[Axis, np.ndarray]] = {"axis": {}, "blocks": {}}
    weights = open_weights(path)
    flops = 0
    for name, entry in weights.entries.items():
        if name == "flops" and entry.shape == (1,):
            flops = int(weights.read(name).view(numpy_dtype(entry.dtype)).item())
            continue
        kind, _, axis_name = name.partition("/")
        axis = by_name.get(axis_name)
        if kind not in found or axis is None or entry.shape[-1] != layout.sizes[axis]:
            raise UsageError(f"{printable(str(path))}: '{printable(name)}' does not belong to this source")
        found[kind][axis] = weights.read(name).view(numpy_dtype(entry.dtype))
    weights.close()
    return Scores(axes=found["axis"], blocks=found["blocks"], flops=flops)
