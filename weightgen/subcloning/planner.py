"""Building a plan from shapes alone: each axis is decided once, then every tensor follows."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from weightgen.errors import UsageError
from weightgen.models.architecture import Architecture
from weightgen.models.axes import RIGID_CAPTURES, Axis, Dim, Kind, Term
from weightgen.models.layout import Layout, TensorAxes
from weightgen.models.selection import Selection
from weightgen.models.source import Source
from weightgen.subcloning.depth import choose_blocks
from weightgen.subcloning.methods import Method
from weightgen.subcloning.plan import Plan, TensorPlan
from weightgen.subcloning.rescaling import RESAMPLED, common_dtype, fan_in_scale
from weightgen.subcloning.scores import Scores
from weightgen.subcloning.select import Chooser, make_chooser, ranked, select_axis


@dataclass
class _Decisions:
    """Selections by target axis, and the axes that cannot be selected on."""

    selections: dict[Axis, Selection] = field(default_factory=dict)
    source_axis: dict[Axis, Axis] = field(default_factory=dict)
    resampled: set[Axis] = field(default_factory=set)
    initialised: dict[Axis, str] = field(default_factory=dict)


def build_plan(
    source: Source,
    target: Architecture,
    layouts: tuple[Layout, Layout],
    method: Method,
    seed: int = 0,
    scores: Scores | None = None,
    vocabulary: np.ndarray | None = None,
    dtype: str | None = None,
) -> Plan:
    """Plan a transfer between two models of one family.

    `vocabulary` gives for each target token its source token (-1: none), where the vocabularies differ; `dtype` is
    the safetensors code of the values written, the source's own where None. Raises UsageError naming the axis
    where the target is larger or an axis cannot be cut.
    """
    from_layout, to_layout = layouts
    scores = scores or Scores()
    decisions = _Decisions()
    _decide_depth(from_layout, to_layout, method, scores, decisions)
    chooser = make_chooser(method.choose, seed, scores.axes)
    _decide_axes(from_layout, to_layout, chooser, scores, vocabulary, decisions)
    tensors, used = [], set()
    for name, axes in to_layout.tensors.items():
        origin, note = _origin(name, axes, source, from_layout, to_layout, decisions)
        tensor = _plan_tensor(name, axes, origin, note, source, layouts, decisions, method, chooser, dtype)
        tensors.append(tensor)
        if tensor.source is not None:
            used.add(tensor.source)
    warnings = [] if method.heads == "whole" else _flat_warnings(to_layout, decisions)
    kept = {str(a): tuple(map(int, s.indices)) for a, s in decisions.selections.items() if a.kind is Kind.DEPTH}
    return Plan(
        family=to_layout.family.name,
        method={"choose": method.choose, "heads": method.heads, "scale": method.scale}
        | {"depth": method.depth if isinstance(method.depth, str) else list(method.depth)}
        | {"importance": method.importance if method.choose == "importance" else None, "seed": seed},
        selections=decisions.selections,
        tensors=tuple(tensors),
        unused=tuple(n for n in source.stored.values() if n not in used) + source.unused,
        warnings=tuple(warnings),
        kept=kept,
        flops=scores.flops if scores is not None else 0,
    )


def _map_axis(axis: Axis, decisions: _Decisions) -> Axis:
    """Return the source axis that a target axis takes its indices from: the same one, of the source's block."""
    scope: tuple[tuple[str, int], ...] = ()
    for i, (capture, value) in enumerate(axis.scope):
        selection = decisions.selections.get(Axis(capture, axis.scope[:i]))
        if capture not in RIGID_CAPTURES and selection is not None:
            value = int(selection.indices[value])
        scope += ((capture, value),)
    return Axis(axis.name, scope)


def _decide_depth(source: Layout, target: Layout, method: Method, scores: Scores, decisions: _Decisions) -> None:
    for axis in sorted(target.depths(), key=lambda a: len(a.scope)):
        origin = _map_axis(axis, decisions)
        if origin not in source.sizes:
            raise UsageError(f"the source has no stack of blocks {axis}: it cannot start this target")
        n, m = source.sizes[origin], target.sizes[axis]
        period = target.family.periods.get(axis.name, 1)
        kept = choose_blocks(axis, n, m, method.depth, scores.blocks.get(origin), target.pinned(axis), period)
        decisions.selections[axis] = Selection(axis, n, kept)
        decisions.source_axis[axis] = origin


def _decide_axes(
    source: Layout,
    target: Layout,
    chooser: Chooser,
    scores: Scores,
    vocabulary: np.ndarray | None,
    decisions: _Decisions,
) -> None:
    nested = target.family.nested
    # Parents first, since a nested axis is chosen among the children of the kept parents.
    for axis in sorted(target.sizes, key=lambda a: (a.name in nested, a)):
        if axis in decisions.selections:
            continue
        origin = _map_axis(axis, decisions)
        decisions.source_axis[axis] = origin
        if origin not in source.sizes:
            decisions.initialised[axis] = f"the source has no axis {origin}"
            continue
        n, m = source.sizes[origin], target.sizes[axis]
        whole = Selection(axis, n, np.arange(n, dtype=np.int64))
        if n == m and not (axis.kind is Kind.VOCAB and vocabulary is not None):
            decisions.selections[axis] = whole
        elif axis.kind in RESAMPLED:
            decisions.selections[axis] = whole
            decisions.resampled.add(axis)
        elif axis.kind is Kind.CLASSES:
            decisions.initialised[axis] = f"{n} classes in the source, {m} in the target"
        elif axis.kind is Kind.VOCAB:
            if vocabulary is None:
                raise UsageError(
                    f"the source has {n} tokens, the target {m}: vocabularies that differ are matched by token string, "
                    "which needs a tokenizer beside both.\nKeep the source's: --dst same, or --dst-args "
                    f"vocab_size={n}; or pass --dst-tokenizer DIR"
                )
            decisions.selections[axis] = Selection(axis, n, vocabulary)
        elif axis.name in nested and origin in scores.axes and scores.axes[origin].ndim == 2:
            parents = decisions.selections[Axis(nested[axis.name], axis.scope)].indices
            decisions.selections[axis] = Selection(axis, n, ranked(scores.axes[origin][parents], m))
        elif axis.name.startswith("prefix") and m > n:
            decisions.initialised[axis] = f"{n} prefix tokens in the source, {m} in the target"
        else:
            decisions.selections[axis] = select_axis(axis, n, m, chooser, origin)


def _origin(
    name: str, axes: TensorAxes, source: Source, layout: Layout, target: Layout, decisions: _Decisions
) -> tuple[str | None, str]:
    """Return the canonical source name that a target tensor takes its values from, or None and why."""
    mapped, shift = name, 0
    for i, (capture, value, start, end) in enumerate(axes.captures):
        scope = tuple((c, v) for c, v, _, _ in axes.captures[:i])
        selection = decisions.selections.get(Axis(capture, scope))
        if capture in RIGID_CAPTURES or selection is None:
            continue
        block = str(int(selection.indices[value]))
        mapped = mapped[: start + shift] + block + mapped[end + shift :]
        shift += len(block) - (end - start)
    base = source.architecture
    candidates = [mapped]
    if axes.name in base.tied:
        candidates.append(base.tied[axes.name].removeprefix(base.prefix + "."))
    for pattern, replacement in target.family.renames.items():
        candidates.append(re.sub(pattern, replacement, mapped))
    for candidate in candidates:
        if candidate in layout.tensors and layout.tensors[candidate].name in source.stored:
            return candidate, ""
    return None, "the source has no such tensor"


def _plan_tensor(
    name: str,
    axes: TensorAxes,
    origin: str | None,
    note: str,
    source: Source,
    layouts: tuple[Layout, Layout],
    decisions: _Decisions,
    method: Method,
    chooser: Chooser,
    dtype: str | None,
) -> TensorPlan:
    from_layout, to_layout = layouts
    shape = to_layout.shapes[name]
    used = [axis for dim in axes.dims for term in dim for axis in term]
    note = note or next((decisions.initialised[a] for a in used if a in decisions.initialised), "")
    if origin is not None and not note:
        found = from_layout.tensors[origin].dims
        if not _agree(axes.dims, found, decisions):
            note = "the source lays this tensor out differently"
    if origin is None or note:
        return TensorPlan(axes.name, shape, dtype or common_dtype(source), "initialised", note=note)
    stored = source.stored[from_layout.tensors[origin].name]
    entry = source.weights.entries[stored]
    # A trailing dimension of size 1 may be there on one side only (a 1x1 convolution against a linear layer).
    source_shape = tuple(from_layout.shapes[origin]) + (1,) * (len(shape) - len(from_layout.shapes[origin]))
    source_shape = source_shape[: len(shape)]
    dims = axes.dims
    if method.heads == "flat":
        dims = tuple(_flatten(d, source_shape[i], shape[i], chooser, decisions) for i, d in enumerate(dims))
    resample = tuple(dict.fromkeys(a.kind.value for a in used if a in decisions.resampled))
    scale = fan_in_scale(axes, source_shape, shape) if method.scale == "fan-in" else 1.0
    selections = decisions.selections
    whole = all(selections[a].identity for d in dims for term in d for a in term)
    action = "resampled" if resample else "copied" if whole else "selected"
    code = dtype if dtype is not None and entry.dtype[0] in "BF" and entry.dtype != "BOOL" else entry.dtype
    return TensorPlan(axes.name, shape, code, action, stored, source_shape, dims, scale, resample)


def _agree(target: Sequence[Dim], source: Sequence[Dim], decisions: _Decisions) -> bool:
    """Tell whether a tensor's axes come from those of its source tensor, trailing singletons aside.

    They do not where one side ties two axes that the other keeps apart: indices would then be another axis'.
    """

    def axes(dims: Sequence[Dim], origin: Mapping[Axis, Axis]) -> list[list[list[Axis]]]:
        listed = [[[origin.get(a, a) for a in term] for term in dim] for dim in dims]
        while listed and [a.name for term in listed[-1] for a in term] == ["one"]:
            listed.pop()
        return listed

    return axes(target, decisions.source_axis) == axes(source, {})


def _flatten(dim: Dim, source: int, target: int, chooser: Chooser, decisions: _Decisions) -> Dim:
    """Replace a product or concatenation by one plain axis, as the published rule of weight selection has it."""
    kinds = {a.kind for term in dim for a in term}
    if kinds & {*RESAMPLED, Kind.VOCAB, Kind.CLASSES, Kind.SEQUENCE} or (len(dim) == 1 and len(dim[0]) == 1):
        return dim
    # The same indices wherever the same two widths meet: the paper's consistency.
    axis = Axis(f"flat:{source}->{target}")
    decisions.selections[axis] = Selection(axis, source, chooser(axis, source, target))
    return (Term([axis]),)


def _flat_warnings(layout: Layout, decisions: _Decisions) -> list[str]:
    warnings = []
    if any(a.kind in (Kind.ROTARY, Kind.ROTARY_INTERLEAVED) for a in layout.sizes):
        warnings.append("flat heads ignore rotary pairs: queries and keys rotate at other frequencies than trained")
    if any(a.startswith("flat:") for a in {x.name for x in decisions.selections}):
        warnings.append("flat heads blend source heads, and pair q with other channels of k and v unless sizes divide")
    return warnings
