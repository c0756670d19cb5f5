"""From an average recipe to a checkpoint: names -> sources of one architecture -> averages -> publish."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from weightgen.card import average_card, load_text
from weightgen.checkpoint import check_target, publish
from weightgen.errors import CoverageError, InputError, UsageError, printable
from weightgen.inits.averaging import average, rule_of
from weightgen.models.architecture import Architecture, write_config
from weightgen.models.shards import Declared, Progress, nbytes, write_shards
from weightgen.models.source import Source
from weightgen.models.tensorfile import numpy_dtype
from weightgen.preparation import versions
from weightgen.provenance import Hashing, check_sizes, recorded_cost
from weightgen.recipe import AverageRecipe
from weightgen.sidecars import copy_sidecars
from weightgen.starts import Start, architecture_of

MIXED = ("F64", "F32")
"""What a floating tensor becomes that is stored in several types: the first of these among them, or the last."""


@dataclass(frozen=True)
class Averaged:
    """What was published."""

    directory: Path
    architecture: str
    load: str
    """Python expression that loads it."""
    factors: tuple[float, float, float]
    """Smallest, mean and largest factor of the deviations; the mean is over values, the tensors that are corrected."""
    unused: Mapping[str, Sequence[str]]
    """Checkpoint -> names of its tensors that the architecture does not have."""
    bytes: int
    seconds: float


def average_checkpoints(
    recipe: AverageRecipe, out: Path, *, force: bool = False, progress: Progress | None = None
) -> Averaged:
    """Average checkpoints and publish the result with the lineage of them all, holding one tensor at a time.

    Configuration and tokenizer are the first checkpoint's. Raises UsageError for fewer than two checkpoints and
    for other architectures, with the first tensor or axis that differs, InputError for incomplete checkpoints and
    values that are not finite.
    """
    check_target(out.resolve(), force)
    if len(recipe.checkpoints) < 2:
        raise UsageError(f"an average needs at least two checkpoints, found {len(recipe.checkpoints)}")
    started = time.monotonic()
    parents = [Start(text, text, "checkpoint", text) for text in recipe.checkpoints]
    architecture = architecture_of(parents, None, {})
    for parent in parents:
        _check_axes(parents[0], parent)
        check_sizes(map(Path, parent.source.weights.files))
    tensors = [(name, _dtype(name, parents), shape) for name, shape in architecture.shapes.items()]
    own = recipe.model_copy(update={"out": None})
    with publish(out, force, needed=sum(map(nbytes, tensors))) as staged:
        hashing = [Hashing(map(Path, parent.source.weights.files)) for parent in parents]
        factors = _write(tensors, parents, architecture, recipe.plain, staged.path, progress)
        write_config(architecture, staged.path)
        width = getattr(getattr(architecture.model, "config", None), "hidden_size", None)
        copy_sidecars(parents[0].source.directory, None, staged.path, width)
        (staged.path / "recipe.yaml").write_text(own.to_yaml(), encoding="utf-8")
        card = average_card(own, architecture, out.name)
        (staged.path / "README.md").write_text(card, encoding="utf-8")
        staged.manifest.update(
            stage="average",
            recipe_hash=own.hash,
            parents=[_lineage(parent, found) for parent, found in zip(parents, hashing, strict=True)],
            factors=factors,
            cost={},
            versions=versions(architecture.library),
        )
        size = sum(f.stat().st_size for f in staged.path.rglob("*") if f.is_file())
    return Averaged(
        out,
        architecture.name,
        load_text(architecture, str(out)),
        _summary(factors, architecture.shapes),
        {printable(p.text): [printable(n) for n in p.source.unused] for p in parents if p.source.unused},
        size,
        time.monotonic() - started,
    )


def _write(
    tensors: Sequence[Declared],
    parents: Sequence[Start],
    architecture: Architecture,
    plain: bool,
    directory: Path,
    progress: Progress | None,
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


def _summary(factors: Mapping[str, float], shapes: Mapping[str, tuple[int, ...]]) -> tuple[float, float, float]:
    counts = {name: math.prod(shapes[name]) for name in factors}
    mean = sum(factors[n] * counts[n] for n in factors) / (sum(counts.values()) or 1)
    return (min(factors.values()), mean, max(factors.values())) if factors else (1.0, 1.0, 1.0)


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


def _dtype(name: str, parents: Sequence[Start]) -> str:
    found = [p.source.weights.entries[p.source.stored[name]].dtype for p in parents]
    if numpy_dtype(found[0]).kind in "biu" or len(set(found)) == 1:
        return found[0]
    return next((d for d in MIXED if d in found), MIXED[-1])


def _check_axes(first: Start, other: Start) -> None:
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


def _lineage(parent: Start, hashing: Hashing) -> dict[str, Any]:
    return {
        "name": printable(parent.text, 1000),
        "files": hashing.result(),
        "cost": recorded_cost(parent.source.directory),
    }
