"""timm's Eva: EVA, EVA-02, DINOv3, the Perception Encoder and Sapiens 2. Learned rotary frequencies are not covered.

A model without grouped queries has one query per group, so that `group` is then its head.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from weightgen.models.families.timm_vit import (
    EMBEDDINGS,
    MLP,
    NORM_RENAMES,
    POOL_AND_HEAD,
    pool_aliases,
    pool_sizes,
    token_sizes,
)
from weightgen.models.layout import Family


def _sizes(model: Any) -> Mapping[str, int | Sequence[int]]:
    attentions = [block.attn for block in model.blocks]
    groups = [getattr(attention, "num_kv_heads", attention.num_heads) for attention in attentions]
    queries = [attention.num_heads // n for attention, n in zip(attentions, groups, strict=True)]
    return {"group": groups, "query": queries, **token_sizes(model), **pool_sizes(model)}


def _aliases(model: Any) -> Mapping[str, str]:
    pairs = "rotary" if model.blocks[0].attn.rotate_half else "rotary_interleaved"
    return {"rotary": "dim" if model.rope is None else pairs, **pool_aliases(model)}


FAMILY = Family(
    name="timm EVA",
    table={
        **EMBEDDINGS,
        "blocks.{layer}.{norm1,norm2}.{weight,bias}": "embed",
        "blocks.{layer}.{gamma_1,gamma_2}": "embed",
        "blocks.{layer}.attn.qkv.{weight,bias}": "(group rotary)+(group rotary)+(group vdim) <- embed",
        "blocks.{layer}.attn.q_bias": "(group rotary)",
        "blocks.{layer}.attn.v_bias": "(group vdim)",
        "blocks.{layer}.attn.q_proj.{weight,bias}": "(group query rotary) <- embed",
        "blocks.{layer}.attn.k_proj.{weight,bias}": "(group rotary) <- embed",
        "blocks.{layer}.attn.v_proj.{weight,bias}": "(group vdim) <- embed",
        "blocks.{layer}.attn.{q_norm,k_norm}.{weight,bias}": "rotary",
        "blocks.{layer}.attn.norm.{weight,bias}": "(group query vdim)",
        "blocks.{layer}.attn.gate.{weight,bias}": "(group query vdim) <- embed",
        "blocks.{layer}.attn.proj.{weight,bias}": "embed <- (group query vdim)",
        **MLP,
        **POOL_AND_HEAD,
    },
    sizes=_sizes,
    nested={"query": "group"},
    renames=NORM_RENAMES,
    aliases=_aliases,
)
