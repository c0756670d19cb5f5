"""timm's SwinTransformerV2: cosine attention, positions from a small network, norms after the branches."""

from __future__ import annotations

from weightgen.models.families.timm_swin import BLOCKS, stage_heads
from weightgen.models.layout import Family

FAMILY = Family(
    name="timm Swin v2",
    table={
        **BLOCKS,
        "layers.{stage}.downsample.norm.{weight,bias}": "embed[stage]",
        "layers.{stage}.blocks.{block}.attn.logit_scale": "head one one",
        "layers.{stage}.blocks.{block}.attn.cpb_mlp.0.{weight,bias}": "hidden:cpb <- coordinates",
        "layers.{stage}.blocks.{block}.attn.cpb_mlp.2.weight": "head <- hidden:cpb",
        "layers.{stage}.blocks.{block}.attn.q_bias": "(head dim)",
        "layers.{stage}.blocks.{block}.attn.v_bias": "(head vdim)",
    },
    sizes=stage_heads,
    periods={"block": 2},
)
