"""timm's SwinTransformer (Swin v1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from weightgen.models.layout import Family


def stage_heads(model: Any) -> Mapping[str, Sequence[int]]:
    """Heads of every stage."""
    return {"head": [layer.blocks[0].attn.num_heads for layer in model.layers]}


BLOCKS = {
    "patch_embed.proj.{weight,bias}": "embed[0] <- channels patch patch",
    "patch_embed.norm.{weight,bias}": "embed[0]",
    "layers.{stage}.downsample.reduction.weight": "embed[stage] <- (four embed[stage-1])",
    "layers.{stage}.blocks.{block}.{norm1,norm2}.{weight,bias}": "embed[stage]",
    "layers.{stage}.blocks.{block}.attn.qkv.{weight,bias}": "(head dim)+(head dim)+(head vdim) <- embed[stage]",
    "layers.{stage}.blocks.{block}.attn.proj.{weight,bias}": "embed[stage] <- (head vdim)",
    "layers.{stage}.blocks.{block}.mlp.fc1.{weight,bias}": "hidden <- embed[stage]",
    "layers.{stage}.blocks.{block}.mlp.fc2.{weight,bias}": "embed[stage] <- hidden",
    "norm.{weight,bias}": "embed[-1]",
    "head.fc.{weight,bias}": "classes <- embed[-1]",
}
"""What both versions share. Merging concatenates the channels of four neighbours."""

FAMILY = Family(
    name="timm Swin",
    table={
        **BLOCKS,
        "layers.{stage}.downsample.norm.{weight,bias}": "(four embed[stage-1])",
        # A stage whose map is smaller than the window has a smaller window.
        "layers.{stage}.blocks.{block}.attn.relative_position_bias_table": "window[stage] head",
    },
    sizes=stage_heads,
    periods={"block": 2},
)
