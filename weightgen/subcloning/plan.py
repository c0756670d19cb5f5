"""A plan: for every target tensor its source tensor, the indices per axis, the rescaling, or the initialiser."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from weightgen.errors import printable
from weightgen.models.axes import Axis, Dim, dim_text
from weightgen.models.selection import Selection, flat_indices
from weightgen.publishing.plan_hash import with_hash

ACTIONS = ("copied", "selected", "resampled", "initialised")
WORDS = {
    "proven": "along proven axes",
    "unexercised": "along axes that no output depends on",
    "by shape": "by shape alone",
    "whole": "copied whole",
    "new": "new",
}
"""Shares of the target's values, and how they are said."""


@dataclass(frozen=True)
class Truth:
    """How far a plan can be trusted."""

    route: str
    """`table`: written down and proven in this project's tests; `derived`: found in a forward pass and proven on this
    model; `shape`: guessed from sizes."""
    why: str
    """Why there was no better way; empty for tables."""
    shares: Mapping[str, float] = field(default_factory=dict)
    """Of the target's values, by the keys of `WORDS`."""

    def text(self) -> str:
        """Say it in a line or two."""
        parts = [f"{share:.1%} {WORDS[word]}" for word, share in self.shares.items() if share]
        return f"{self.route}: {', '.join(parts)}" + (f"\n        since {printable(self.why, 200)}" if self.why else "")


@dataclass(frozen=True)
class TensorPlan:
    """What one target tensor is made from."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    """safetensors code of the values written."""
    action: str
    source: str | None = None
    """Name in the source's file."""
    source_shape: tuple[int, ...] = ()
    dims: tuple[Dim, ...] = ()
    scale: float = 1.0
    resample: tuple[str, ...] = ()
    """Kinds of the axes that are resampled, in order."""
    note: str = ""


@dataclass(frozen=True)
class Plan:
    """Everything that a transfer does, decided before any value is read."""

    family: str
    method: Mapping[str, Any]
    selections: Mapping[Axis, Selection]
    tensors: tuple[TensorPlan, ...]
    unused: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    kept: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Depth axis -> the source blocks kept."""
    flops: int = 0
    """What deciding it took, calibration that is, in floating point operations of the model."""
    truth: Truth = field(default_factory=lambda: Truth("table", ""))
    """How the axes were found, and for which share of the values."""

    def indices(self, tensor: TensorPlan, dimension: int) -> np.ndarray | None:
        """Return the flat source indices along one dimension, None where all are kept in order."""
        flat = flat_indices(tensor.dims[dimension], self.selections)
        whole = len(flat) == tensor.source_shape[dimension] and np.array_equal(flat, np.arange(len(flat)))
        return None if whole else flat

    def to_json(self) -> dict[str, Any]:
        """Return the plan as plain data, with its hash."""
        data: dict[str, Any] = {
            "schema": 1,
            "family": self.family,
            "method": dict(self.method),
            "kept_blocks": {k: list(v) for k, v in self.kept.items()},
            "axes": {
                str(axis): {"source": s.source_size, "target": s.target_size, "indices": s.indices.tolist()}
                for axis, s in sorted(self.selections.items())
                if not s.identity
            },
            "tensors": [_tensor_json(t) for t in self.tensors],
            "unused": list(self.unused),
            "warnings": list(self.warnings),
            "flops": self.flops,
            "truth": {"route": self.truth.route, "why": self.truth.why, "shares": dict(self.truth.shares)},
        }
        return with_hash(data)

    @property
    def hash(self) -> str:
        """sha256 of the plan's content."""
        return str(self.to_json()["hash"])

    def count(self, action: str) -> int:
        """Number of tensors with an action."""
        return sum(t.action == action for t in self.tensors)

    @property
    def parameters(self) -> int:
        """Number of values in the target."""
        return sum(math.prod(t.shape) for t in self.tensors)


def _tensor_json(tensor: TensorPlan) -> dict[str, Any]:
    data: dict[str, Any] = {
        "name": tensor.name,
        "shape": list(tensor.shape),
        "dtype": tensor.dtype,
        "action": tensor.action,
    }
    if tensor.source is not None:
        data |= {"source": tensor.source, "source_shape": list(tensor.source_shape)}
        data["axes"] = " ".join(dim_text(d) for d in tensor.dims)
    if tensor.scale != 1.0:
        data["scale"] = tensor.scale
    if tensor.resample:
        data["resample"] = list(tensor.resample)
    if tensor.note:
        data["note"] = tensor.note
    return data
