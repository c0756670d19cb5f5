"""The averages of starts of one architecture, read, averaged and written one tensor at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from weightgen.console import Progress
from weightgen.errors import CoverageError, InputError, UsageError, printable
from weightgen.inits.averaging import average, rule_of
from weightgen.models.architecture import Architecture
from weightgen.models.header import numpy_dtype
from weightgen.models.shards import Declared, write_shards
from weightgen.models.source import Source
from weightgen.starts.start import Start

MIXED = ("F64", "F32")
"""What a floating tensor becomes that is stored in several types: the first of these among them, or the last."""


def write_average(
    tensors: Sequence[Declared],
    parents: Sequence[Start],
    architecture: Architecture,
    plain: bool,
    directory: Path,
    progress: Progress,
) -> dict[str, float]:
    """Write the averages; return the factor of each tensor that was corrected."""
    parameters = {name for name, _ in architecture.model.named_parameters(remove_duplicate=False)}
    factors: dict[str, float] = {}
    types = {name: numpy_dtype(dtype) for name, dtype, _ in tensors}

    def values(name: str) -> Iterator[np.ndarray]:
        dtype = types[name]
        rule = rule_of(name, dtype.kind not in "biu", parameters, corrected=not plain)
        if rule == "first":
            yield _stored(parents[0].source, name)
            return
        mean, factor = average((_finite(parent, name) for parent in parents), rule == "corrected")
        if rule == "corrected":
            factors[name] = factor
        yield mean.numpy().astype(dtype)

    write_shards(directory, tensors, values, progress)
    return factors


def check_function(first: Start, other: Start) -> None:
    """Raise UsageError where shapes agree and functions do not: another activation, rotation, or order of classes."""
    expected, found = (s.source.architecture.adapter.function(s.source.architecture) for s in (first, other))
    for key in {**expected, **found}:
        if expected.get(key) != found.get(key):
            was, now = (printable(repr(told.get(key)), 60) for told in (expected, found))
            raise UsageError(
                f"{printable(other.text)} computes something else than {printable(first.text)}:\n"
                f"{printable(str(key))} is {now}, expected {was}. Weights of different functions have no average."
            )


def _stored(source: Source, name: str) -> np.ndarray:
    stored = source.stored[name]
    return source.weights.read(stored).view(numpy_dtype(source.weights.entries[stored].dtype))


def _finite(parent: Start, name: str) -> Tensor:
    values = torch.from_numpy(_stored(parent.source, name).astype(np.float64))
    bad = int((~values.isfinite()).sum())
    if bad:
        raise InputError(
            f"{printable(parent.text)}: '{printable(name)}' has {bad} NaN or infinite values, which have no average"
        )
    return values


def stored_type(name: str, parents: Sequence[Start]) -> str:
    """Return the safetensors type of a tensor's average."""
    found = [p.source.weights.entries[p.source.stored[name]].dtype for p in parents]
    if numpy_dtype(found[0]).kind in "biu" or len(set(found)) == 1:
        return found[0]
    return next((d for d in MIXED if d in found), MIXED[-1])


def check_axes(first: Start, other: Start) -> None:
    """Raise UsageError where shapes agree and axes do not: 3 heads of 8 are no 4 heads of 6."""
    try:
        layouts = [start.source.architecture.layout() for start in (first, other)]
    except CoverageError:  # a variant that the family's table does not know: shapes are all that can be held together
        return
    if layouts[0] is None or layouts[1] is None:
        return
    expected, found = layouts[0].sizes, layouts[1].sizes
    for axis, size in found.items():
        if expected.get(axis) != size:
            raise UsageError(
                f"{printable(other.text)} is of another architecture than {printable(first.text)}: "
                f"axis {axis} has {size} entries, expected {expected.get(axis, 'no such axis')}"
            )
