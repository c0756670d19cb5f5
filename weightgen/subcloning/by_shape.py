"""Planning without axes: equal names, and every dimension cut on its own. The published rule, and the last resort."""

from __future__ import annotations

import numpy as np

from weightgen.errors import UsageError, printable
from weightgen.models.architecture import Architecture
from weightgen.models.axes import Axis, Dim, Term
from weightgen.models.selection import Selection
from weightgen.models.source import Source
from weightgen.subcloning.methods import Method
from weightgen.subcloning.plan import Plan, TensorPlan
from weightgen.subcloning.select import make_chooser


def plan_by_shape(source: Source, target: Architecture, method: Method, seed: int, dtype: str | None) -> Plan:
    """Plan by names and shapes alone (weight selection as published).

    Tensors whose rank differs, or that are larger in the target, are left at the library's own initialisation.
    Raises UsageError where the two have no tensor in common.
    """
    chooser = make_chooser(method.choose if method.choose != "importance" else "uniform", seed)
    selections: dict[Axis, Selection] = {}
    tensors: list[TensorPlan] = []
    used: set[str] = set()
    cut: list[str] = []
    for name, shape in target.shapes.items():
        stored = source.stored.get(name)
        entry = source.weights.entries[stored] if stored is not None else None
        note = ""
        if entry is None or stored is None:
            note = "the source has no such tensor"
        elif len(entry.shape) != len(shape) or any(s < t for s, t in zip(entry.shape, shape, strict=False)):
            note = f"the source has {list(entry.shape)}, the target needs {list(shape)}"
        if note or entry is None or stored is None:
            tensors.append(TensorPlan(name, shape, dtype or "F32", "initialised", note=note))
            continue
        dims: list[Dim] = []
        for n, m in zip(entry.shape, shape, strict=True):
            axis = Axis(f"flat:{n}->{m}")
            indices = chooser(axis, n, m) if m else np.zeros(0, dtype=np.int64)
            selections.setdefault(axis, Selection(axis, n, indices))
            dims.append((Term([axis]),))
        action = "copied" if tuple(entry.shape) == shape else "selected"
        if action == "selected":
            cut.append(name)
        tensors.append(TensorPlan(name, shape, dtype or entry.dtype, action, stored, tuple(entry.shape), tuple(dims)))
        used.add(stored)
    if not used:
        expected, found = next(iter(target.shapes)), next(iter(source.stored), "nothing")
        raise UsageError(
            f"source and target have no tensor in common: the target has '{printable(expected)}', "
            f"the source '{printable(found)}'"
        )
    warnings = [
        f"{target.kind} has no axis table: {len(cut)} tensors are cut by shape alone. Fused projections, heads and "
        "packed halves may be misaligned; equal widths that are different axes are treated as one"
    ]
    unused = tuple(n for n in source.stored.values() if n not in used) + source.unused
    choices = {"choose": method.choose, "heads": "flat", "depth": "first", "scale": "none", "seed": seed}
    return Plan("by shape", choices, selections, tuple(tensors), unused, tuple(warnings))
