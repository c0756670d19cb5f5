"""Phi (1, 1.5, 2) and StableLM: separate projections, of which the leading part of each head rotates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weightgen.models.families.heads import HEADS
from weightgen.models.families.llama import IGNORE, NESTED, gqa_sizes
from weightgen.models.families.rotation import partial_rotary_sizes
from weightgen.models.layout import Family


def _sizes(model: Any) -> Mapping[str, int]:
    return {**gqa_sizes(model), **partial_rotary_sizes(model)}


FAMILY = Family(
    name="Phi",
    table={
        "embed_tokens.weight": "vocab embed",
        "layers.{layer}.self_attn.q_proj.{weight,bias}": "(group query {rotary + dim}) <- embed",
        "layers.{layer}.self_attn.k_proj.{weight,bias}": "(group {rotary + dim}) <- embed",
        "layers.{layer}.self_attn.v_proj.{weight,bias}": "(group vdim) <- embed",
        "layers.{layer}.self_attn.{o_proj,dense}.{weight,bias}": "embed <- (group query vdim)",
        "layers.{layer}.self_attn.{q_layernorm,k_layernorm}.{weight,bias}": "rotary+dim",
        "layers.{layer}.mlp.{gate_proj,up_proj,fc1}.{weight,bias}": "hidden <- embed",
        "layers.{layer}.mlp.{down_proj,fc2}.{weight,bias}": "embed <- hidden",
        "layers.{layer}.{input_layernorm,post_attention_layernorm}.{weight,bias}": "embed",
        "{norm,final_layernorm}.{weight,bias}": "embed",
        **HEADS,
    },
    sizes=_sizes,
    nested=NESTED,
    ignore=IGNORE,
)
