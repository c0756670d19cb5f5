"""Families and layouts: a table of axes, and the table bound to one concrete model."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from weightgen.errors import CoverageError, printable
from weightgen.models.axes import CONSTANTS, RIGID_CAPTURES, Axis, Dim, Kind, Term, dim_text
from weightgen.models.grammar import dimensions, name_regex, parse


@dataclass(frozen=True)
class TensorAxes:
    """The axes of one parameter: its dimensions, and which of them are summed over."""

    dims: tuple[Dim, ...]
    inputs: tuple[int, ...]
    name: str
    """Name in the model's own state dict (the table sees it without the base model's prefix)."""
    captures: tuple[tuple[str, int, int, int], ...]
    """(capture, value, start, end) in the canonical name."""


@dataclass(frozen=True)
class Family:
    """An architecture family: one table, and how to learn the sizes that shapes alone do not tell."""

    name: str
    table: Mapping[str, str]
    sizes: Callable[[Any], Mapping[str, int | Sequence[int]]] = lambda model: {}
    """Maps the meta-device model to sizes of axes; a sequence holds one size per stage."""
    nested: Mapping[str, str] = field(default_factory=dict)
    """Axis -> parent axis, where each index of the parent may choose its own indices (query within group)."""
    renames: Mapping[str, str] = field(default_factory=dict)
    """Regex -> replacement tried on a target's name when the source has no tensor of that name."""
    ignore: tuple[str, ...] = ()
    """Regexes of buffers that are recomputed by the class and never transferred."""
    periods: Mapping[str, int] = field(default_factory=dict)
    """Depth axis -> after how many blocks their kinds repeat (Swin alternates plain and shifted windows)."""
    aliases: Callable[[Any], Mapping[str, str]] = lambda model: {}
    """Axis as the table writes it -> axis that it is in this model (`rotary` -> `dim` where nothing rotates)."""


@dataclass(frozen=True)
class Layout:
    """A family's table bound to one concrete model."""

    family: Family
    tensors: Mapping[str, TensorAxes]
    """Canonical tensor name -> its axes."""
    shapes: Mapping[str, tuple[int, ...]]
    sizes: Mapping[Axis, int]
    """Size of every axis, depths included."""
    ignored: tuple[str, ...] = ()
    unexercised: frozenset[Axis] = frozenset()
    """Axes of derived layouts that no output depends on: free to be cut, and never proven."""

    def depths(self) -> list[Axis]:
        """Return the stacks of blocks, outermost first."""
        return sorted(a for a in self.sizes if a.kind is Kind.DEPTH)

    def pinned(self, depth: Axis) -> bool:
        """Tell whether the first block of a stack differs from the others and must stay first."""
        return any(f"{{{depth.name}=0}}" in pattern for pattern in self.family.table)


def bind(family: Family, shapes: Mapping[str, tuple[int, ...]], model: Any, prefix: str = "") -> Layout:
    """Bind a family's table to a model of given parameter shapes.

    Raises CoverageError naming the parameters that no line covers, or whose shapes contradict their line.
    """
    matched: dict[str, tuple[str, str, re.Match[str]]] = {}
    uncovered, ignored = [], []
    canonicals = {name: name.removeprefix(prefix + ".") if prefix else name for name in shapes}
    last_stage = _last_stage(family, canonicals.values())
    for name, canonical in canonicals.items():
        if any(re.fullmatch(pattern, canonical) for pattern in family.ignore):
            ignored.append(name)
            continue
        for pattern, spec in family.table.items():
            if match := name_regex(pattern, last_stage).fullmatch(canonical):
                matched[canonical] = (name, spec, match)
                break
        else:
            uncovered.append(name)
    if uncovered:
        listed = ", ".join(printable(n) for n in uncovered[:3]) + (" ..." if len(uncovered) > 3 else "")
        raise CoverageError(f"the {family.name} table does not cover {len(uncovered)} parameters: {listed}")

    aliases = family.aliases(model)
    tensors: dict[str, TensorAxes] = {}
    bound_shapes: dict[str, tuple[int, ...]] = {}
    sizes: dict[Axis, int] = {}
    for canonical, (name, spec, match) in matched.items():
        captures = {k: int(v) for k, v in match.groupdict().items()}
        shape = tuple(shapes[name])
        dims = dimensions(spec, captures, last_stage, aliases)[: len(shape)]
        dims += tuple((Term([Axis("one")]),) for _ in shape[len(dims) :])
        inputs = tuple(i for i in parse(spec)[1] if i < len(shape))
        spans = tuple((c, int(match[c]), match.start(c), match.end(c)) for c in captures)
        tensors[canonical] = TensorAxes(dims, inputs, name, spans)
        bound_shapes[canonical] = shape
        scope: tuple[tuple[str, int], ...] = ()
        for capture, value in captures.items():
            if capture not in RIGID_CAPTURES:
                axis = Axis(capture, scope)
                sizes[axis] = max(sizes.get(axis, 0), value + 1)
            scope += ((capture, value),)
    axes = {axis for t in tensors.values() for dim in t.dims for term in dim for axis in term}
    sizes |= _known_sizes(axes, family.sizes(model))
    _solve(tensors, bound_shapes, sizes, family)
    return Layout(family, tensors, bound_shapes, sizes, tuple(ignored))


def _last_stage(family: Family, names: Iterable[str]) -> int:
    patterns = [name_regex(pattern) for pattern in family.table if "{stage}" in pattern]
    return max((int(m["stage"]) for n in names for p in patterns if (m := p.fullmatch(n))), default=0)


def _known_sizes(axes: Iterable[Axis], facts: Mapping[str, int | Sequence[int]]) -> dict[Axis, int]:
    known = {}
    for axis in axes:
        fact = facts.get(axis.name, CONSTANTS.get(axis.name))
        if isinstance(fact, int):
            known[axis] = fact
        elif fact is not None:
            known[axis] = fact[axis.scope[0][1]]
    return known


def _solve(
    tensors: Mapping[str, TensorAxes],
    shapes: Mapping[str, tuple[int, ...]],
    sizes: dict[Axis, int],
    family: Family,
) -> None:
    """Find every axis' size: each dimension is one linear equation in at most one unknown at a time."""
    pending = [(n, i, dim) for n, t in tensors.items() for i, dim in enumerate(t.dims)]
    while pending:
        waiting = []
        for name, i, dim in pending:
            unknown = {a for term in dim for a in term if a not in sizes}
            total = shapes[name][i]
            if len(unknown) > 1:
                waiting.append((name, i, dim))
                continue
            constant = sum(math.prod(sizes[a] for a in term) for term in dim if not unknown & set(term))
            if unknown:
                (axis,) = unknown
                slope = sum(math.prod(sizes[a] for a in term if a != axis) for term in dim if axis in term)
                value, rest = divmod(total - constant, slope)
                fits = rest == 0 and value >= 0
                sizes[axis] = value
            else:
                fits = constant == total
            if not fits:
                raise CoverageError(
                    f"{printable(name)}: dimension {i} has {total} entries, but the {family.name} table reads it as "
                    f"{dim_text(dim)} = {' + '.join('x'.join(str(sizes.get(a)) for a in t) for t in dim)}"
                )
        if len(waiting) == len(pending):
            name, i, dim = waiting[0]
            raise CoverageError(f"{printable(name)}: the sizes in {dim_text(dim)} cannot be told from the shapes")
        pending = waiting
