"""Axes derived from a forward pass: found on real networks without a table, and refused where they do not hold."""

from __future__ import annotations

from dataclasses import replace

import pytest
import timm
import torch
from transformers import BertConfig

from weightgen.errors import CoverageError
from weightgen.models.architecture import Architecture
from weightgen.models.axes import Axis, Kind
from weightgen.models.derive import _only, _proven, _runnable, derive, derive_pair
from weightgen.models.layout import Layout
from weightgen.models.layouts import find_layouts
from weightgen.models.libraries import LIBRARIES
from weightgen.models.libraries.transformers import Transformers
from weightgen.models.unify import axis, cut, product, resolve, split, unify


def architecture(make) -> Architecture:
    with torch.device("meta"):
        model = make()
    return LIBRARIES["timm"].describe(type(model).__name__, model, {}, make)


def free(layout: Layout) -> set[str]:
    return {a.name for a in layout.sizes if a.kind is Kind.FREE}


class Packed(torch.nn.Module):
    """A grouped convolution, packed halves, a concatenation, and one axis whose order matters."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.stem = torch.nn.Conv2d(3, width, 3, padding=1)
        self.grouped = torch.nn.Conv2d(width, width, 3, padding=1, groups=4)
        self.halves = torch.nn.Linear(width, 2 * width)
        self.ordered = torch.nn.Linear(width, width)
        self.head = torch.nn.Linear(2 * width, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pooled = self.grouped(self.stem(x).relu()).mean((2, 3))
        gate, value = self.halves(pooled).chunk(2, -1)
        return self.head(torch.cat([gate.sigmoid() * value, self.ordered(pooled).cumsum(-1)], -1))


def test_structure_of_groups_and_halves_is_found_and_ordered_axes_are_fixed() -> None:
    layout = derive(architecture(lambda: Packed(16)))
    assert layout is not None
    (halves,) = [layout.tensors["halves.weight"].dims[0]]
    assert [len(term) for term in halves] == [1, 1]
    assert halves[0] == halves[1]
    assert len(layout.tensors["grouped.weight"].dims[0][0]) == 2
    assert all(a.kind is Kind.FIXED for term in layout.tensors["ordered.weight"].dims[0] for a in term)
    assert "derived:halves.weight.0" not in free(layout) or halves[0][0].kind is Kind.FREE


@pytest.mark.parametrize("name", ["lcnet_035", "mobilenetv3_small_050", "regnetx_002", "tinynet_e"])
def test_every_wide_axis_of_convolutional_networks_is_free(name: str) -> None:
    layout = derive(architecture(lambda: timm.create_model(name)))
    assert layout is not None
    fixed = [a for t in layout.tensors.values() for d in t.dims for term in d for a in term if a.kind is Kind.FIXED]
    assert [str(a) for a in fixed if layout.sizes[a] >= 16] == []


def test_two_sizes_of_one_network_have_equal_axes() -> None:
    pair = derive_pair(
        *(architecture(lambda n=n: timm.create_model(n)) for n in ("mobilenetv2_050", "mobilenetv2_035"))
    )
    assert pair is not None
    assert {n: t.dims for n, t in pair[0].tensors.items()} == {n: t.dims for n, t in pair[1].tensors.items()}


def test_a_wrong_guess_is_fixed_by_the_proof() -> None:
    made = architecture(lambda: Packed(8))
    layout = derive(made)
    assert layout is not None
    # Claim that the ordered axis is free: the claim alone must fall.
    wrong = Axis("derived:wrong")
    ordered = layout.tensors["ordered.weight"].dims[0][0][0]

    def swap(tensor):
        dims = tuple(tuple(type(t)(wrong if a == ordered else a for a in t) for t in d) for d in tensor.dims)
        return replace(tensor, dims=dims)

    claimed = replace(
        layout,
        tensors={n: swap(t) for n, t in layout.tensors.items()},
        sizes={wrong if a == ordered else a: n for a, n in layout.sizes.items()},
    )
    model = _runnable(made)
    assert model is not None
    proven = _proven(model, {"x": torch.randn(2, 3, 16, 16).double()}, claimed, [])
    assert proven is not None
    assert wrong not in proven.sizes
    assert free(proven) == free(layout)


def test_an_axis_that_the_output_does_not_depend_on_is_not_proven() -> None:
    class Dead(Packed):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (
                self.head(torch.cat([self.stem(x).mean((2, 3))] * 2, -1)) + 0 * self.halves(x.mean((1, 2))[:, :8]).sum()
            )

    layout = derive(architecture(lambda: Dead(8)))
    assert layout is not None
    proven = free(layout) - {str(a) for a in layout.unexercised}
    assert proven
    assert not any("halves" in name for name in proven)
    assert any("halves" in str(a) for a in layout.unexercised)


def test_a_model_that_contradicts_its_table_is_derived() -> None:
    """timm's test_resnet mixes kinds of blocks, which the table of ResNets reads as one kind."""

    def made(**sizes: object) -> Architecture:
        return architecture(lambda: timm.create_model("test_resnet", **sizes))

    source, target = made(), made(layers=(1, 1, 1, 1), channels=(16, 24, 32, 48))
    with pytest.raises(CoverageError, match="the timm ResNet table reads it as"):
        source.layout()
    found = find_layouts(source, target)
    assert (found.route, found.pair is None) == ("derived", False)
    assert "the timm ResNet table reads it as" in found.why
    assert found.pair[0].family.name == "derived axes"


def test_models_that_fail_are_left_to_the_caller() -> None:
    class Broken(Packed):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise OSError("no")

    made = architecture(lambda: Broken(8))
    with pytest.raises(CoverageError, match="could not be tried out: OSError: no"):
        derive_pair(made, made)


def test_derivation_leaves_the_random_state_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    derive(architecture(lambda: Packed(8)))
    assert torch.rand(1) == expected


def test_derivation_leaves_the_configuration_alone() -> None:
    """It is saved with the result, where a cache that was switched off would slow every generation."""
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24}
    made = Transformers().from_config(BertConfig(**sizes, vocab_size=40), "BertForMaskedLM")
    assert derive(made) is not None
    assert made.config.use_cache is True


def test_fixing_axes_keeps_the_sizes() -> None:
    layout = derive(architecture(lambda: Packed(8)))
    assert layout is not None
    fixed = _only(layout, [])
    assert free(fixed) == set()
    assert sorted(fixed.sizes.values()) == sorted(layout.sizes.values())


def test_unification_finds_products_concatenations_and_conflicts() -> None:
    whole, heads, channels = axis(12), axis(3), axis(4)
    unify(whole, product([heads, channels]))
    assert resolve(whole) == product([heads, channels])
    packed, half = axis(8), axis(4)
    unify(cut(packed, 0, 4), half)
    unify(cut(packed, 4, 8), half)
    assert resolve(packed) == (*half, *half)
    slow, fast = split(axis(6), 3)
    assert [len(e[0]) for e in (slow, fast)] == [1, 1]
    a, b = product([axis(2), axis(3)]), product([axis(3), axis(2)])
    unify(a, b)
    assert all(node.fixed for term in (*resolve(a), *resolve(b)) for node in term)
