"""What a cut tensor is multiplied by, and in which type it is written."""

from __future__ import annotations

from weightgen.models.axes import Kind
from weightgen.models.layout import TensorAxes
from weightgen.models.source import Source

RESAMPLED = (Kind.GRID, Kind.PATCH, Kind.CHANNELS, Kind.WINDOW)
"""Axes whose size says nothing of how many inputs are summed."""


def common_dtype(source: Source) -> str:
    """Return the safetensors type that most of a source's floating tensors have."""
    codes = [source.weights.entries[n].dtype for n in source.stored.values()]
    floating = [c for c in codes if c.startswith(("F", "BF"))]
    return max(set(floating), key=floating.count) if floating else "F32"


def fan_in_scale(axes: TensorAxes, source: tuple[int, ...], target: tuple[int, ...]) -> float:
    """Return sqrt(source fan-in / target fan-in) over the axes that are cut (Samragh et al., 2023)."""
    ratio = 1.0
    for i in axes.inputs:
        if not any(a.kind in RESAMPLED for term in axes.dims[i] for a in term):
            ratio *= source[i] / target[i]
    return float(ratio**0.5)
