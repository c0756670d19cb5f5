"""timm's architectures in pairs: each with the nearest smaller one of its class that it can start.

A pair needs a target with no size above the source's and no kind of parameter that the source lacks. An architecture
without such a partner is in no pair.
"""

from __future__ import annotations

import logging
import math
import re
import sys
import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

MAIN = ("vision_transformer", "convnext", "resnet")
PER_MODULE = 4


@dataclass(frozen=True)
class Measured:
    """What decides which architectures make a pair."""

    name: str
    kind: str
    """Class; empty where the architecture cannot be built on the meta device."""
    module: str = ""
    parameters: int = 0
    covered: bool = False
    """Whether an axis table covers it."""
    structure: frozenset[str] = frozenset()
    """Names of its parameters, without numbers."""
    sizes: Mapping[str, int] | None = None
    """By axis where a table covers it, else the lengths of its vectors (norms and biases tell the widths)."""


def measure(name: str) -> Measured:
    """Measure one architecture."""
    from weightgen.errors import WeightgenError
    from weightgen.models.libraries import build
    from weightgen.models.reference import Reference

    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    try:
        built = build(Reference(name, "timm", name), {})
    except WeightgenError:
        return Measured(name, "")
    try:
        layout = built.layout()
    except WeightgenError:
        layout = None
    kind, module = type(built.model).__name__, type(built.model).__module__.rpartition(".")[2]
    structure = frozenset(re.sub(r"\d+", "#", n) for n in built.shapes)
    sizes = _axis_sizes(layout) if layout is not None else _vector_sizes(built)
    count = sum(math.prod(s) for s in built.shapes.values())
    return Measured(name, kind, module, count, layout is not None, structure, sizes)


def _axis_sizes(layout: Any) -> dict[str, int]:
    from weightgen.models.axes import Kind

    # What is resampled, adapted or left at init may well be larger.
    others = (Kind.GRID, Kind.PATCH, Kind.CHANNELS, Kind.WINDOW, Kind.VOCAB, Kind.CLASSES)
    return {str(a): n for a, n in layout.sizes.items() if a.kind not in others}


def _vector_sizes(built: Any) -> dict[str, int]:
    classes = getattr(built.model, "num_classes", None)
    return {n: s[0] for n, s in built.shapes.items() if len(s) == 1 and s[0] != classes}


def fits(target: Measured, source: Measured) -> bool:
    """Tell whether no size of the target exceeds the source's."""
    assert target.sizes is not None
    assert source.sizes is not None
    smaller = target.parameters < source.parameters and target.structure <= source.structure
    comparable = target.covered == source.covered
    return smaller and comparable and all(n <= source.sizes.get(k, 0) for k, n in target.sizes.items())


def architectures(everything: bool) -> list[str]:
    """Return timm's architectures, or those that stand for their module."""
    import timm

    chosen = []
    for module in timm.list_modules():
        names = timm.list_models(module=module)
        step = 1 if everything or module in MAIN else max(1, len(names) // PER_MODULE)
        chosen += names[::step]
    return chosen


def timm_pairs(pool: Any, most: float, everything: bool) -> Iterator[tuple[Measured, Measured]]:
    """Yield (larger, nearest smaller) of timm's architectures up to `most` parameters, the smallest first."""
    groups: dict[tuple[str, str], list[Measured]] = defaultdict(list)
    for found in pool.imap_unordered(measure, architectures(everything), chunksize=4):
        if not found.kind:
            print(f"{found.name}: not built, left out", file=sys.stderr)
        elif found.parameters <= most:
            groups[found.kind, found.module].append(found)
    for _, members in sorted(groups.items()):
        members.sort(key=lambda m: (m.parameters, m.name))
        for i, large in enumerate(members):
            partner = next((small for small in reversed(members[:i]) if fits(small, large)), None)
            if partner is not None:
                yield large, partner
