"""timm's Beit: BEiT and BEiT v2, whose positions are relative (per block or shared) or absolute."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weightgen.models.families.timm_vit import EMBEDDINGS, MLP, NORM_RENAMES, token_sizes
from weightgen.models.layout import Family


def _sizes(model: Any) -> Mapping[str, int]:
    heads = model.blocks[0].attn.num_heads
    return {"head": heads, **token_sizes(model)}


FAMILY = Family(
    name="timm BEiT",
    table={
        **EMBEDDINGS,
        # The last three rows are the relations with the class token.
        "rel_pos_bias.relative_position_bias_table": "window+three head[0]",
        "blocks.{layer}.attn.relative_position_bias_table": "window+three head",
        "blocks.{layer}.{norm1,norm2}.{weight,bias}": "embed",
        "blocks.{layer}.{gamma_1,gamma_2}": "embed",
        "blocks.{layer}.attn.qkv.weight": "(head dim)+(head dim)+(head vdim) <- embed",
        "blocks.{layer}.attn.q_bias": "(head dim)",
        "blocks.{layer}.attn.v_bias": "(head vdim)",
        "blocks.{layer}.attn.proj.{weight,bias}": "embed <- (head vdim)",
        **MLP,
        "{norm,fc_norm}.{weight,bias}": "embed",
        "head.{weight,bias}": "classes <- embed",
    },
    sizes=_sizes,
    renames=NORM_RENAMES,
    # A shared table ties the heads of all blocks.
    aliases=lambda model: {} if model.rel_pos_bias is None else {"head": "head[0]"},
)
