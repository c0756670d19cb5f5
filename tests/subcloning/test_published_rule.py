"""`--heads flat` is the published rule of weight selection, bit for bit; whole heads are what it blends."""

from __future__ import annotations

import pytest
import timm
import torch

import weightgen
from weightgen.models.proof import randomise
from weightgen.subcloning.plan import Plan

PAIRS = [
    ("vit_small_patch16_224", "vit_tiny_patch16_224", {}),
    ("vit_base_patch16_224", "vit_small_patch16_224", {}),
    ("convnext_tiny", "convnext_femto", {"conv_mlp": False}),
]


def published(source: torch.nn.Module, target: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Apply the rule as the paper states it: same name, first blocks, every axis evenly spaced."""
    state, chosen = source.state_dict(), {}
    for name, wanted in target.state_dict().items():
        if "head" in name:
            continue
        value = state[name]
        for d, size in enumerate(wanted.shape):
            n = value.shape[d]
            even = torch.arange(size) * (n // size) if n % size == 0 else torch.round(torch.linspace(0, n - 1, size))
            value = value.index_select(d, even.long())
        chosen[name] = value
    return chosen


@pytest.mark.parametrize(("big", "small", "arguments"), PAIRS, ids=[p[1] for p in PAIRS])
def test_flat_heads_equal_the_published_rule(big: str, small: str, arguments: dict) -> None:
    source = timm.create_model(big, num_classes=10)
    randomise(source, seed=1)
    target = timm.create_model(small, num_classes=10, **arguments)
    weightgen.subclone(source, target, method="selection", heads="flat")
    state = target.state_dict()
    for name, value in published(source, target).items():
        assert torch.equal(state[name], value), name


def test_whole_heads_keep_queries_keys_and_values_of_one_source_head_together() -> None:
    arguments = {"img_size": 32, "num_classes": 4}
    source = timm.create_model("vit_tiny_patch16_224", embed_dim=64, depth=2, num_heads=8, **arguments)
    target = timm.create_model("vit_tiny_patch16_224", embed_dim=24, depth=1, num_heads=3, **arguments)
    with torch.no_grad():
        for part in range(3):  # every row of q, k and v is marked by the head it belongs to
            rows = source.blocks[0].attn.qkv.weight[part * 64 : (part + 1) * 64]
            rows.copy_(torch.arange(8.0).repeat_interleave(8)[:, None].expand(64, 64))
    plan = weightgen.subclone(source, target, method="selection")
    assert isinstance(plan, Plan)
    marks = target.blocks[0].attn.qkv.weight.reshape(3, 3, 8, 24)
    for head in range(3):
        assert len(marks[:, head].unique()) == 1
    flat = timm.create_model("vit_tiny_patch16_224", embed_dim=24, depth=1, num_heads=3, **arguments)
    weightgen.subclone(source, flat, method="selection", heads="flat")
    blended = flat.blocks[0].attn.qkv.weight.reshape(3, 3, 8, 24)
    assert any(len(blended[:, head].unique()) > 1 for head in range(3))
