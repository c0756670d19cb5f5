"""A plan as people read it: groups of tensors, what is cut along which axis, what is new, what is left over."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

from weightgen.console import human_bytes, human_count, table
from weightgen.errors import printable
from weightgen.models.architecture import Architecture
from weightgen.models.axes import Kind
from weightgen.models.source import Source
from weightgen.models.tensor_names import block_pattern, shortened
from weightgen.subcloning.plan import ACTIONS, Plan
from weightgen.subcloning.transfer import nbytes

NAME_WIDTH = 36  # of 80 columns


def plan_summary(plan: Plan, source: Source) -> dict[str, Any]:
    """Return the plan's totals."""
    return {
        "family": plan.family,
        "plan_hash": plan.hash,
        "source_parameters": sum(math.prod(source.weights.entries[n].shape) for n in source.stored.values()),
        "target_parameters": plan.parameters,
        "target_bytes": sum(nbytes(t) for t in plan.tensors),
        "truth": {"route": plan.truth.route, "why": plan.truth.why, "shares": dict(plan.truth.shares)},
        "actions": {a: plan.count(a) for a in ACTIONS},
    }


def plan_text(plan: Plan, source: Source, target: Architecture) -> str:
    """Lay a plan out for a terminal of 80 columns."""
    summary = plan_summary(plan, source)
    lines = [
        f"{source.architecture.name} -> {target.name}  ({plan.family})",
        f"parameters  {human_count(summary['source_parameters'])} -> {human_count(summary['target_parameters'])}, "
        f"{human_bytes(summary['target_bytes'])}    plan {plan.hash[:12]}",
        f"axes        {plan.truth.text()}",
        "",
    ]
    axes: dict[str, Counter[str]] = {}
    for axis, selection in sorted(plan.selections.items()):
        if axis.kind is not Kind.DEPTH and not axis.name.startswith("one"):
            axes.setdefault(axis.name, Counter())[f"{selection.source_size} -> {selection.target_size}"] += 1
    rows: list[tuple[str, ...]] = [(name, ", ".join(f"{s}" for s in list(sizes)[:4])) for name, sizes in axes.items()]
    for stack, kept in plan.kept.items():
        rows.append((stack, _ranges(kept)))
    shown = [r for r in rows if not _unchanged(r[1])]
    if shown:
        lines += [table(shown, ("axis", "source -> target, or blocks kept")), ""]
    lines += [table(_groups(plan), ("tensors", "count", "action", "shape"), right=(1,)), ""]
    for tensor in [t for t in plan.tensors if t.action == "initialised"][:8]:
        lines.append(f"new     {printable(tensor.name, 50)}: {tensor.note}")
    dropped = len(plan.unused)
    such_as = f", such as {printable(plan.unused[0], 45)}" if dropped else ""
    lines.append(f"unused  {dropped} source tensors{such_as}")
    return "\n".join(lines)


def _unchanged(text: str) -> bool:
    parts = text.split(" -> ")
    return len(parts) == 2 and parts[0] == parts[1]


def _ranges(kept: tuple[int, ...]) -> str:
    runs: list[list[int]] = []
    for block in kept:
        if runs and block == runs[-1][-1] + 1:
            runs[-1].append(block)
        else:
            runs.append([block])
    return ", ".join(f"{r[0]}-{r[-1]}" if len(r) > 1 else str(r[0]) for r in runs)


def _groups(plan: Plan) -> list[tuple[str, ...]]:
    """Join the tensors of all blocks into one row."""
    grouped: dict[tuple[str, str], list[str]] = {}
    for tensor in plan.tensors:
        name = block_pattern(tensor.name)
        action = tensor.action + (f" x {tensor.scale:.3f}" if tensor.scale != 1 else "")
        shape = "x".join(map(str, tensor.shape)) or "scalar"
        if tensor.source is not None and tensor.action != "copied":
            shape = "x".join(map(str, tensor.source_shape)) + " -> " + shape
        grouped.setdefault((name, action), []).append(shape)
    rows: list[tuple[str, ...]] = []
    for (name, action), shapes in grouped.items():
        shape = shapes[0] if len(set(shapes)) == 1 else f"{shapes[0]}, ..."
        rows.append((shortened(name, NAME_WIDTH), str(len(shapes)), action, printable(shape, 26)))
    return rows
