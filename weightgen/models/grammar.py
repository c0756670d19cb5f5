"""The axis language: one line per parameter says which named axes its dimensions are.

A line reads like einops, with an arrow that tells the axes summed over from those written:

    "blocks.{layer}.mlp.fc1.{weight,bias}": "hidden <- embed"
    "blocks.{layer}.attn.qkv.{weight,bias}": "(head dim)+(head dim)+(head vdim) <- embed"
    "h.{layer}.mlp.c_fc.weight":            "embed -> hidden"            (GPT-2 stores (in, out))
    "stages.{stage}.downsample.1.{weight,bias}": "embed[stage] <- embed[stage-1] kernel kernel"
    "h.{layer}.attn.query_key_value.weight": "(head {dim + dim + vdim}) <- embed"     (BLOOM, head by head)

`(a b)` is a product, `a+b` a concatenation, `(a {b + c})` one inside each index of a product. A tensor of
lower rank takes the leading axes, which is what a bias does; trailing dimensions of size 1 may be left out.
`{layer}` captures a number of the name, `{block=0}` only that number, `{stage=-1}` the last stage's, `{weight,bias}` is
either word.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

from weightgen.models.axes import LOCAL, Axis, Dim, Term, kind_of


@cache
def name_regex(pattern: str, last_stage: int = 0) -> re.Pattern[str]:
    """Return the regex of a parameter name as a table writes it, for a model whose last stage has that number."""

    def piece(match: re.Match[str]) -> str:
        body = match.group(1)
        if "," in body:
            return "(?:" + "|".join(re.escape(word) for word in body.split(",")) + ")"
        capture, _, literal = body.partition("=")
        literal = str(last_stage) if literal == "-1" else literal
        return f"(?P<{capture}>{literal or r'[0-9]+'})"

    parts = re.split(r"(\{[^}]*\})", pattern)
    return re.compile("".join(re.sub(r"\{([^}]*)\}", piece, p) if p.startswith("{") else re.escape(p) for p in parts))


@cache
def parse(spec: str) -> tuple[tuple[str, ...], tuple[int, ...]]:
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


def dimensions(spec: str, captures: Mapping[str, int], last_stage: int, aliases: Mapping[str, str]) -> tuple[Dim, ...]:
    """Read a line's dimensions for a parameter whose name has the given numbers."""

    def axes(text: str) -> list[Axis]:
        return [_instantiate(aliases.get(atom, atom), captures, last_stage) for atom in text.split()]

    dims = []
    for text in parse(spec)[0]:
        terms: list[Term] = []
        for part in re.findall(r"\([^)]*\)|[^+()]+", text):
            product, _, inner = part.strip("()}").partition("{")
            shared = axes(product)
            for i, rest in enumerate(inner.split("+")):
                terms.append(Term([*shared, *axes(rest)], inside=len(shared) if i else 0))
        dims.append(tuple(terms))
    return tuple(dims)
