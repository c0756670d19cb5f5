"""Weights as blocks and back: exactly, for any shapes and any block size."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from weightgen.diffusion.block_statistics import Statistics
from weightgen.diffusion.blocks import Layout
from weightgen.errors import InputError, UsageError
from weightgen.models.translator import Translator, TranslatorConfig

NET = TranslatorConfig(position=False)  # the reference's five layers at width 28

KINDS = ("conv", "conv1d", "linear", "norm", "embedding", "scalar", "bias alone", "odd bias")
Shapes = dict[str, tuple[int, ...]]


@st.composite
def state_shapes(draw: st.DrawFn) -> Shapes:
    """Shapes of a network with convolutions, linear layers, norms, embeddings and scalars, some without biases."""
    found: Shapes = {}
    size = st.integers(1, 6)
    for i in range(draw(st.integers(1, 5))):
        name, out = f"layers.{i * draw(st.integers(1, 4)) + i}", draw(size)
        kind = draw(st.sampled_from(KINDS))
        if kind == "scalar":
            found[f"{name}.scale"] = ()
        elif kind == "bias alone":
            found[f"{name}.bias"] = (out,)
        else:
            kernel = {"conv": (3, 3), "conv1d": (5,)}.get(kind, ())
            shape = (out,) if kind == "norm" else (out, draw(size), *kernel)
            found[f"{name}.weight"] = shape
            if kind == "odd bias":
                found[f"{name}.bias"] = (out + 1,)
            elif kind != "embedding" and draw(st.booleans()):
                found[f"{name}.bias"] = (out,)
    return found


def values(shapes: Shapes, *leading: int) -> dict[str, Tensor]:
    """Different numbers in all places."""
    total = 1.0
    found = {}
    for name, shape in shapes.items():
        whole = torch.Size((*leading, *shape))
        tensor = torch.arange(whole.numel(), dtype=torch.float32).reshape(whole)
        found[name] = tensor + total
        total += tensor.numel()
    return found


@settings(max_examples=150, deadline=None)
@given(state_shapes(), st.integers(1, 40), st.sampled_from([(), (3,), (2, 3)]))
def test_joining_undoes_splitting_exactly(shapes: Shapes, size: int, leading: tuple[int, ...]) -> None:
    layout, tensors = Layout(shapes, size), values(shapes, *leading)
    blocks = layout.split(tensors)
    assert blocks.shape == (*leading, len(layout), size)
    joined = layout.join(blocks)
    assert set(joined) == set(shapes)
    assert all(torch.equal(joined[n], tensors[n]) for n in shapes)
    spoiled = torch.where(layout.mask, blocks, torch.nan)  # padding is never decoded
    assert all(torch.equal(t, tensors[n]) for n, t in layout.join(spoiled).items())


@settings(max_examples=150, deadline=None)
@given(state_shapes(), st.integers(1, 40))
def test_what_a_block_holds(shapes: Shapes, size: int) -> None:
    """No block crosses layers, short rows are never cut, and each value has one place."""
    layout, tensors = Layout(shapes, size), values(shapes)
    blocks = layout.split(tensors)
    assert int(layout.mask.sum()) == layout.parameters == sum(t.numel() for t in tensors.values())
    assert torch.equal(blocks[~layout.mask], torch.zeros(int((~layout.mask).sum())))
    assert len(set(blocks[layout.mask].tolist())) == layout.parameters
    for block, held in zip(layout.blocks, blocks, strict=True):
        layer = layout.layers[block.layer]
        own = torch.cat([tensors[n].flatten() for n in layer.tensors])
        assert set(held[: block.length].tolist()) <= set(own.tolist())
        assert block.row == block.offset // layer.columns
        rows = block.length / layer.columns
        assert rows == int(rows) if layer.columns <= size else block.length <= layer.columns
        assert (block.offset + block.length - 1) // layer.columns - block.row < max(1, size // layer.columns)


def test_a_row_is_a_filter_and_its_bias() -> None:
    shapes = NET.shapes
    tensors = values(shapes)
    layout = Layout(shapes, 256)
    index = next(i for i, b in enumerate(layout.blocks) if layout.layers[b.layer].name == "net.4" and b.row == 5)
    expected = torch.cat([tensors["net.4.weight"][5].flatten(), tensors["net.4.bias"][5:6]])
    assert torch.equal(layout.split(tensors)[index, :253], expected)


def test_arithmetic_of_the_reference() -> None:
    """Width 28, five layers: 22,795 parameters in 4 + 3 * 28 + 3 blocks; unpacked rows would need 115."""
    layout = Layout(NET.shapes, 256)
    assert layout.parameters == 784 + 3 * 7084 + 759 == 22795
    assert len(layout) == 91
    assert [int((layout.layer_of_block == i).sum()) for i in range(5)] == [4, 28, 28, 28, 3]
    assert sum(layer.rows for layer in layout.layers) == 115
    assert {layer.kind for layer in layout.layers} == {"convolution"}
    assert len(Layout(NET.shapes, 128)) == 7 + 3 * 56 + 6  # four rows of 28 a block, the others in halves
    assert len(Layout(NET.shapes, 512)) == 2 + 3 * 14 + 2  # 18 rows of 28 a block, of the others two


def test_order_is_that_of_depth_not_of_the_file() -> None:
    names = ["net.10.bias", "net.2.weight", "net.10.weight", "head.weight", "net.2.bias"]
    shapes: Shapes = {n: (2,) if n.endswith("bias") else (2, 3) for n in names}
    layout = Layout(shapes, 8)
    assert [layer.name for layer in layout.layers] == ["head.weight", "net.2", "net.10"]
    again = Layout(dict(reversed(shapes.items())), 8)
    assert again == layout
    assert again.sha256 == layout.sha256
    assert Layout(shapes, 9).sha256 != layout.sha256
    assert Layout({**shapes, "head.weight": (3, 2)}, 8).sha256 != layout.sha256


def test_kinds_of_layers() -> None:
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Linear(3, 2), nn.LayerNorm(4))
    shapes = {n: tuple(t.shape) for n, t in model.state_dict().items()} | {"scale": ()}
    kinds = {layer.name: (layer.kind, layer.rows, layer.columns) for layer in Layout(shapes, 16).layers}
    assert kinds == {
        "0": ("convolution", 3, 19),
        "1": ("linear", 2, 4),
        "2": ("vector", 4, 2),
        "scale": ("scalar", 1, 1),
    }


def test_gradients_come_back_through_joining() -> None:
    layout = Layout(NET.shapes, 256)
    blocks = torch.zeros(len(layout), 256, requires_grad=True)
    sum(t.sum() for t in layout.join(blocks).values()).backward()  # type: ignore[union-attr]
    assert blocks.grad is not None
    assert torch.equal(blocks.grad, layout.mask.float())


def test_statistics_are_those_of_each_layer_without_the_padding() -> None:
    layout = Layout({"a.weight": (2, 3), "b.weight": (5,)}, 8)
    blocks = layout.split({"a.weight": torch.randn(40, 2, 3) * 4 + 100, "b.weight": torch.randn(40, 5) / 7})
    found = Statistics.of(layout, blocks)
    assert found.mean.tolist() == pytest.approx([100, 0], abs=1)
    assert found.std.tolist() == pytest.approx([4, 1 / 7], rel=0.2)
    normal = found.normalise(layout, blocks)
    for i in range(2):
        own = normal[:, layout.layer_of_block == i][:, layout.mask[layout.layer_of_block == i]]
        assert float(own.mean()) == pytest.approx(0, abs=1e-5)
        assert float(own.std(correction=0)) == pytest.approx(1, abs=1e-5)
    assert not normal[:, ~layout.mask].any()
    assert torch.allclose(found.denormalise(layout, normal), blocks, atol=1e-4)
    # The literature's mistake: zeros of the padding count, and every layer seems closer to zero than it is.
    padded = blocks[:, layout.layer_of_block == 0].mean()
    assert abs(float(padded) - 100) > 20


def test_a_layer_that_never_changes_is_not_divided_by_zero() -> None:
    layout = Layout({"a.weight": (2, 3)}, 8)
    found = Statistics.of(layout, layout.split({"a.weight": torch.full((4, 2, 3), 2.0)}))
    assert found.std.tolist() == [1]
    assert bool(torch.isfinite(found.normalise(layout, torch.zeros(1, 1, 8))).all())


def test_json_there_and_back() -> None:
    layout = Layout(NET.shapes, 256)
    assert Layout.from_json(json.loads(json.dumps(layout.to_json())), "layout.json") == layout
    cases: tuple[Any, ...] = ({}, [], {**layout.to_json(), "version": 2}, {**layout.to_json(), "shapes": {"a": [0]}})
    for broken in cases:
        with pytest.raises(InputError, match=r"layout\.json: expected a layout of blocks"):
            Layout.from_json(broken, "layout.json")
    with pytest.raises(InputError, match=r"layout\.json: block size: expected at least 1, found 0"):
        Layout.from_json({**layout.to_json(), "block_size": 0}, "layout.json")


def test_refusals() -> None:
    layout = Layout(NET.shapes, 256)
    tensors = values(NET.shapes)
    with pytest.raises(UsageError, match=r"'net\.0\.bias': missing"):
        layout.split({n: t for n, t in tensors.items() if n != "net.0.bias"})
    with pytest.raises(UsageError, match="'other': unknown to the layout"):
        layout.split({**tensors, "other": torch.zeros(1)})
    with pytest.raises(UsageError, match=r"'net\.0\.weight' is \[28, 3, 3, 3\], expected \[3, 28, 3, 3, 3\]"):
        layout.split({**tensors, "net.0.bias": torch.zeros(3, 28)})  # as a stack of three has it
    with pytest.raises(UsageError, match=r"'net\.8\.weight' is \[3, 27, 3, 3\], expected \[3, 28, 3, 3\]"):
        layout.split({**tensors, "net.8.weight": torch.zeros(3, 27, 3, 3)})
    with pytest.raises(UsageError, match=r"blocks: expected 91 of 256 values, found \[90, 256\]"):
        layout.join(torch.zeros(4, 90, 256))
    with pytest.raises(UsageError, match="block size: expected at least 1, found 0"):
        Layout(NET.shapes, 0)
    with pytest.raises(UsageError, match="'a' holds no values"):
        Layout({"a": (0, 3)}, 4)
    with pytest.raises(UsageError, match="no tensors to lay out"):
        Layout({}, 4)


def test_a_network_that_went_through_blocks_draws_the_same() -> None:
    translator = Translator(TranslatorConfig(width=9, layers=3), seed=4)
    nn.init.normal_(translator.get_parameter("net.4.weight"), std=0.1)
    layout = Layout(translator.config.shapes, 64)
    other = Translator(translator.config, seed=5)
    other.load_state_dict(layout.join(layout.split(translator.state_dict())))
    photo = torch.rand(1, 3, 8, 10)
    assert torch.equal(other(photo), translator(photo))
