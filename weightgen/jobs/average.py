"""Average: names -> starts of one architecture -> averages -> publish."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from weightgen.console import SILENT, Reporter, human_bytes, shell_word
from weightgen.errors import UsageError, printable
from weightgen.inits.averaged_card import averaged_card
from weightgen.jobs.made import Made
from weightgen.models.names import local_directory
from weightgen.models.reloading import check_loads
from weightgen.models.shards import nbytes
from weightgen.publishing.provenance import Hashing, check_sizes, recorded_cost
from weightgen.publishing.publication import check_out, publication
from weightgen.publishing.sidecars import copy_sidecars
from weightgen.recipe import AverageRecipe
from weightgen.starts.agreement import architecture_of
from weightgen.starts.averaging import check_axes, check_function, stored_type, write_average
from weightgen.starts.start import Start


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


def average(recipe: AverageRecipe, out: Path, *, force: bool = False, reporter: Reporter = SILENT) -> Made[Averaged]:
    """Average checkpoints and publish the result with the lineage of them all, holding one tensor at a time.

    Configuration and tokenizer are the first checkpoint's. Raises UsageError for fewer than two checkpoints and
    for other architectures, with the first tensor or axis that differs, InputError for incomplete checkpoints and
    values that are not finite.
    """
    check_out(out, force, [local_directory(text) for text in recipe.checkpoints])
    if len(recipe.checkpoints) < 2:
        raise UsageError(f"an average needs at least two checkpoints, found {len(recipe.checkpoints)}")
    started = time.monotonic()
    parents = [Start(text, text, "checkpoint", text) for text in recipe.checkpoints]
    architecture = architecture_of(parents, None, {})
    for parent in parents:
        check_axes(parents[0], parent)
        check_function(parents[0], parent)
        check_sizes(map(Path, parent.source.weights.files))
    tensors = [(name, stored_type(name, parents), shape) for name, shape in architecture.shapes.items()]
    needed = sum(map(nbytes, tensors))
    with (
        reporter.progress("averaging") as progress,
        publication(out, recipe, architecture.library, force=force, needed=needed) as published,
    ):
        hashing = [Hashing(map(Path, parent.source.weights.files)) for parent in parents]
        factors = write_average(tensors, parents, architecture, recipe.plain, published.path, progress)
        architecture.adapter.write_config(architecture, published.path)
        check_loads(architecture, published.path)
        copy_sidecars(parents[0].source.directory, None, published.path, architecture.width)
        published.card = averaged_card(recipe, architecture, out.name)
        published.fields = {
            "parents": [_lineage(parent, found) for parent, found in zip(parents, hashing, strict=True)],
            "factors": factors,
            "cost": {},
        }
    made = Averaged(
        out,
        architecture.name,
        architecture.adapter.load_text(architecture, str(out)),
        _summary(factors, architecture.shapes),
        {printable(p.text): [printable(n) for n in p.source.unused] for p in parents if p.source.unused},
        published.bytes,
        time.monotonic() - started,
    )
    return _told(recipe, made, reporter)


def _told(recipe: AverageRecipe, made: Averaged, reporter: Reporter) -> Made[Averaged]:
    """Say what was left out, how far deviations were scaled, and what to type next."""
    for text, names in made.unused.items():
        reporter.warn(f"{text}: {len(names)} tensors have no place in {made.architecture} and are left out: {names[0]}")
    low, mean, high = made.factors
    scaled = "the plain mean" if recipe.plain else f"deviations x {mean:.3g} (from {low:.3g} to {high:.3g})"
    out = made.directory
    data = {
        "directory": str(out),
        "bytes": made.bytes,
        "load": made.load,
        "factors": {"smallest": low, "mean": mean, "largest": high},
        "unused": {text: list(names) for text, names in made.unused.items()},
        "seconds": round(made.seconds, 2),
    }
    said = (
        f"wrote {shell_word(out)}/ ({human_bytes(made.bytes)}) in {made.seconds:.1f} s: "
        f"{len(recipe.checkpoints)} checkpoints, {scaled}\n"
        f"load:   {made.load}\ncheck:  weightgen verify {shell_word(out)}"
    )
    return Made(out, data, said, made)


def _summary(factors: Mapping[str, float], shapes: Mapping[str, tuple[int, ...]]) -> tuple[float, float, float]:
    counts = {name: math.prod(shapes[name]) for name in factors}
    mean = sum(factors[n] * counts[n] for n in factors) / (sum(counts.values()) or 1)
    return (min(factors.values()), mean, max(factors.values())) if factors else (1.0, 1.0, 1.0)


def _lineage(parent: Start, hashing: Hashing) -> dict[str, Any]:
    return {
        "name": printable(parent.text, 1000),
        "files": hashing.result(),
        "cost": recorded_cost(parent.source.directory),
    }
