"""Concatenations inside a product: fused projections that are stored head by head."""

from __future__ import annotations

import numpy as np
import pytest

from weightgen.models.axes import Axis, dim_text
from weightgen.models.layout import Family, Layout, bind
from weightgen.models.selection import Selection, flat_indices

SIZES = {"head": 3, "group": 2, "query": 2, "dim": 2, "rotary": 4, "vdim": 5}


def layout(line: str, rows: int) -> Layout:
    family = Family("toy", {"qkv.{layer}.weight": line}, lambda model: SIZES)
    return bind(family, {"qkv.0.weight": (rows, 7)}, None)


@pytest.mark.parametrize(
    ("line", "shapes"),
    [
        ("(head {dim + dim + vdim})", [("head", "dim"), ("head", "dim"), ("head", "vdim")]),
        ("(group {query dim + dim + vdim})", [("group", "query", "dim"), ("group", "dim"), ("group", "vdim")]),
        ("(group query {rotary + dim})", [("group", "query", "rotary"), ("group", "query", "dim")]),
    ],
)
def test_an_alternating_dimension_is_its_parts_side_by_side_in_every_shared_index(
    line: str, shapes: list[tuple[str, ...]]
) -> None:
    shared = line.strip("()").partition("{")[0].split()
    rows = [int(np.prod([SIZES[a] for a in shared])), -1]
    # The parts of a labelled dimension, cut apart by hand, selected one by one and put side by side again.
    widths = [int(np.prod([SIZES[a] for a in names[len(shared) :]])) for names in shapes]
    labels = np.arange(rows[0] * sum(widths)).reshape(rows[0], sum(widths))
    starts = np.cumsum([0, *widths])
    rng = np.random.default_rng(0)
    kept = {name: rng.permutation(n)[: n - 1] for name, n in SIZES.items()}
    expected = []
    for names, start, width in zip(shapes, starts, widths, strict=False):
        part = labels[:, start : start + width].reshape([SIZES[a] for a in names])
        selected = part[np.ix_(*(kept[a] for a in names))]
        expected.append(selected.reshape(int(np.prod([len(kept[a]) for a in shared])), -1))

    bound = layout(f"{line} <- embed", labels.size)
    (dim, _) = bound.tensors["qkv.0.weight"].dims
    chosen = {axis: Selection(axis, n, kept[axis.name]) for axis, n in bound.sizes.items() if axis.name in kept}
    assert np.array_equal(flat_indices(dim, chosen), np.concatenate(expected, axis=1).reshape(-1))


def test_plain_and_alternating_terms_are_concatenated_in_order() -> None:
    bound = layout("(group {query dim + vdim})+(head {rotary + dim})+dim <- embed", 2 * 9 + 3 * 6 + 2)
    (dim, _) = bound.tensors["qkv.0.weight"].dims
    every = {axis: Selection(axis, n, np.arange(n)) for axis, n in bound.sizes.items()}
    assert np.array_equal(flat_indices(dim, every), np.arange(38))


def test_an_empty_part_is_allowed() -> None:
    family = Family("toy", {"q.{layer}.weight": "(head {rotary + dim})"}, lambda model: {"head": 3, "rotary": 4})
    bound = bind(family, {"q.0.weight": (12,)}, None)
    assert bound.sizes[Axis("dim", (("layer", 0),))] == 0
    (dim,) = bound.tensors["q.0.weight"].dims
    order = {axis: Selection(axis, n, np.arange(n)[::-1]) for axis, n in bound.sizes.items()}
    assert np.array_equal(flat_indices(dim, order), np.arange(12)[::-1])


def test_the_text_of_a_dimension_reads_as_its_line() -> None:
    (dim, _) = layout("(group {query dim + vdim})+(head dim)+dim <- embed", 2 * 9 + 6 + 2).tensors["qkv.0.weight"].dims
    assert dim_text(dim).replace("@layer0", "") == "(group {query dim + vdim})+(head dim)+dim"
