"""The axis language: one line per parameter says which named axes its dimensions are.

A line reads like einops, with an arrow that tells the axes summed over from those written:

    "blocks.{layer}.mlp.fc1.{weight,bias}": "hidden <- embed"
    "blocks.{layer}.attn.qkv.{weight,bias}": "(head dim)+(head dim)+(head vdim) <- embed"
    "h.{layer}.mlp.c_fc.weight":            "embed -> hidden"            (GPT-2 stores (in, out))
    "stages.{stage}.downsample.1.{weight,bias}": "embed[stage] <- embed[stage-1] kernel kernel"
    "h.{layer}.attn.query_key_value.weight": "(head {dim + dim + vdim}) <- embed"     (BLOOM, head by head)

`(a b)` is a product, `a+b` a concatenation, `(a {b + c})` one inside each index of a product. A tensor of
lower rank takes the leading axes, which is what a bias does; trailing dimensions of size 1 may be left out.
`{layer}` captures a number of the name, `{block=0}` only that number, `{weight,bias}` is either word.
"""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Self

from weightgen.errors import CoverageError, UsageError, printable


class Kind(enum.Enum):
    """What may be done to an axis when its size changes."""

    FREE = "free"  # any subset, any order: the network is symmetric under permutations
    FIXED = "fixed"  # sizes must agree
    ROTARY = "rotary"  # pairs (i, i + n/2) rotate together
    ROTARY_INTERLEAVED = "rotary_interleaved"  # pairs (2i, 2i + 1) rotate together
    SEQUENCE = "sequence"  # an ordered axis: a smaller target keeps the beginning
    GRID = "grid"  # positions of a square grid: resampled
    PATCH = "patch"  # pixels of a patch or stem kernel: resampled
    CHANNELS = "channels"  # image channels: adapted
    WINDOW = "window"  # a table of relative positions: resampled
    VOCAB = "vocab"  # tokens: equal, or matched by token string
    CLASSES = "classes"  # equal, or left at init
    DEPTH = "depth"  # a stack of blocks: a subset, in order


# One vocabulary for all families: name -> kind, and whether each block has its own (local) axis.
FREE_NETWORK = ("flat", "embed", "pooled", "projection", "heads")
FREE_LOCAL = ("hidden", "head", "dim", "vdim", "group", "query", "mid", "expert")
FIXED = (
    "one",
    "kernel",
    "two",
    "three",
    "four",
    "types",
    "prefix",
    "coordinates",
    "buckets",
    "mels",
    "any",
    "halves",
    "tokens",
)
SPECIAL = {
    "rotary": Kind.ROTARY,
    "rotary_interleaved": Kind.ROTARY_INTERLEAVED,
    "positions": Kind.SEQUENCE,
    "grid": Kind.GRID,
    "patch": Kind.PATCH,
    "channels": Kind.CHANNELS,
    "window": Kind.WINDOW,
    "vocab": Kind.VOCAB,
    "classes": Kind.CLASSES,
}
LOCAL = (*FREE_LOCAL, "rotary", "rotary_interleaved")
CONSTANTS = {"one": 1, "two": 2, "three": 3, "four": 4}
RIGID_CAPTURES = ("stage",)


def kind_of(name: str) -> Kind:
    """Return the kind of the axis called `name`; `head:cross` is a second `head` of the same block."""
    base = name.partition(":")[0]
    if base in FREE_NETWORK or base in FREE_LOCAL:
        return Kind.FREE
    if base in FIXED:
        return Kind.FIXED
    if base in SPECIAL:
        return SPECIAL[base]
    raise ValueError(f"axis {name!r} is not in the vocabulary of weightgen.models.axes")


@dataclass(frozen=True, order=True)
class Axis:
    """One axis of one network: a name, and the block it belongs to unless it is the whole network's."""

    name: str
    scope: tuple[tuple[str, int], ...] = ()

    def __str__(self) -> str:
        where = ".".join(f"{capture}{value}" for capture, value in self.scope)
        return f"{self.name}@{where}" if where else self.name

    @property
    def kind(self) -> Kind:
        """The kind of this axis; captures that are no vocabulary name are depths."""
        try:
            return kind_of(self.name)
        except ValueError:
            return Kind.DEPTH


class Term(tuple[Axis, ...]):
    """A product of axes, the slowest first; it may follow the term before it inside each index of leading axes."""

    inside: int
    """How many leading axes it shares with the term before it; 0 where it simply comes after that term."""

    def __new__(cls, axes: Iterable[Axis], inside: int = 0) -> Self:
        """Make a term of the given axes."""
        term = super().__new__(cls, axes)
        term.inside = inside
        return term


Dim = tuple[Term, ...]
"""One dimension of a tensor: a concatenation of terms."""


def runs(dim: Dim) -> list[list[Term]]:
    """Split a dimension into its concatenated parts: single terms, or terms that alternate inside shared axes."""
    parts: list[list[Term]] = []
    for term in dim:
        if term.inside:
            parts[-1].append(term)
        else:
            parts.append([term])
    return parts


def dim_text(dim: Dim) -> str:
    """Write a dimension as a table does."""
    parts = []
    for run in runs(dim):
        shared = run[-1].inside if len(run) > 1 else len(run[0])
        words = [*map(str, run[0][:shared])]
        if len(run) > 1:
            words.append("{" + " + ".join(" ".join(map(str, term[shared:])) for term in run) + "}")
        parts.append(words[0] if len(words) == 1 else "(" + " ".join(words) + ")")
    return "+".join(parts)


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

    def depths(self) -> list[Axis]:
        """Return the stacks of blocks, outermost first."""
        return sorted(a for a in self.sizes if a.kind is Kind.DEPTH)

    def pinned(self, depth: Axis) -> bool:
        """Tell whether the first block of a stack differs from the others and must stay first."""
        return any(f"{{{depth.name}=0}}" in pattern for pattern in self.family.table)


@cache
def _name_regex(pattern: str) -> re.Pattern[str]:
    def piece(match: re.Match[str]) -> str:
        body = match.group(1)
        if "," in body:
            return "(?:" + "|".join(re.escape(word) for word in body.split(",")) + ")"
        capture, _, literal = body.partition("=")
        return f"(?P<{capture}>{literal or r'[0-9]+'})"

    parts = re.split(r"(\{[^}]*\})", pattern)
    return re.compile("".join(re.sub(r"\{([^}]*)\}", piece, p) if p.startswith("{") else re.escape(p) for p in parts))


@cache
def _parse(spec: str) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Split a line into dimensions and the positions of those summed over."""
    if "<-" in spec:
        out, _, into = spec.partition("<-")
        dims = _split(out) + _split(into)
        return dims, tuple(range(len(_split(out)), len(dims)))
    if "->" in spec:
        into, _, out = spec.partition("->")
        return _split(into) + _split(out), tuple(range(len(_split(into))))
    return _split(spec), ()


def _split(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"(?:\([^)]*\)|[^\s()]+)+", text))


def _instantiate(atom: str, captures: Mapping[str, int], last_stage: int) -> Axis:
    match = re.fullmatch(r"([\w:]+)(?:\[([^\]]*)\])?", atom)
    if not match:
        raise ValueError(f"cannot read axis {atom!r}")
    name, where = match.groups()
    kind_of(name)
    if where is None:
        return Axis(name, tuple(captures.items()) if name.partition(":")[0] in LOCAL else ())
    if where == "-1":
        return Axis(name, (("stage", last_stage),))
    expression = re.fullmatch(r"([a-z]+)?([+-]?\d+)?", where)
    if not expression:
        raise ValueError(f"cannot read scope {where!r}")
    capture, offset = expression.groups()
    value = (captures[capture] if capture else 0) + int(offset or 0)
    return Axis(name, ((capture or "stage", value),))


def _dims(spec: str, captures: Mapping[str, int], last_stage: int, aliases: Mapping[str, str]) -> tuple[Dim, ...]:
    def axes(text: str) -> list[Axis]:
        return [_instantiate(aliases.get(atom, atom), captures, last_stage) for atom in text.split()]

    dims = []
    for text in _parse(spec)[0]:
        terms: list[Term] = []
        for part in re.findall(r"\([^)]*\)|[^+()]+", text):
            product, _, inner = part.strip("()}").partition("{")
            shared = axes(product)
            for i, rest in enumerate(inner.split("+")):
                terms.append(Term([*shared, *axes(rest)], inside=len(shared) if i else 0))
        dims.append(tuple(terms))
    return tuple(dims)


def bind(family: Family, shapes: Mapping[str, tuple[int, ...]], model: Any, prefix: str = "") -> Layout:
    """Bind a family's table to a model of given parameter shapes.

    Raises CoverageError naming the parameters that no line covers, UsageError where shapes contradict the table.
    """
    matched: dict[str, tuple[str, str, re.Match[str]]] = {}
    uncovered, ignored = [], []
    for name in shapes:
        canonical = name.removeprefix(prefix + ".") if prefix else name
        if any(re.fullmatch(pattern, canonical) for pattern in family.ignore):
            ignored.append(name)
            continue
        for pattern, spec in family.table.items():
            if match := _name_regex(pattern).fullmatch(canonical):
                matched[canonical] = (name, spec, match)
                break
        else:
            uncovered.append(name)
    if uncovered:
        listed = ", ".join(printable(n) for n in uncovered[:3]) + (" ..." if len(uncovered) > 3 else "")
        raise CoverageError(f"the {family.name} table does not cover {len(uncovered)} parameters: {listed}")

    stages = [int(m["stage"]) for _, _, m in matched.values() if m.groupdict().get("stage")]
    last_stage = max(stages, default=0)
    aliases = family.aliases(model)
    tensors: dict[str, TensorAxes] = {}
    bound_shapes: dict[str, tuple[int, ...]] = {}
    sizes: dict[Axis, int] = {}
    for canonical, (name, spec, match) in matched.items():
        captures = {k: int(v) for k, v in match.groupdict().items()}
        shape = tuple(shapes[name])
        dims = _dims(spec, captures, last_stage, aliases)[: len(shape)]
        dims += tuple((Term([Axis("one")]),) for _ in shape[len(dims) :])
        inputs = tuple(i for i in _parse(spec)[1] if i < len(shape))
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
                raise UsageError(
                    f"{printable(name)}: dimension {i} has {total} entries, but the {family.name} table reads it as "
                    f"{dim_text(dim)} = {' + '.join('x'.join(str(sizes.get(a)) for a in t) for t in dim)}"
                )
        if len(waiting) == len(pending):
            name, i, dim = waiting[0]
            raise UsageError(f"{printable(name)}: the sizes in {dim_text(dim)} cannot be told from the shapes")
        pending = waiting
