"""LLaMA and the decoders of the same build: Mistral, Qwen2, Qwen3, Granite, SmolLM3 and StarCoder2.

transformers' LLaMA-style rotation pairs (i, i + n/2); v and o share dimensions of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weightgen.models.families.heads import HEADS
from weightgen.models.layout import Family


def gqa_sizes(model: Any) -> Mapping[str, int]:
    """Sizes of grouped-query attention: groups are key-value heads, queries the heads that share one."""
    config = model.config.get_text_config()
    groups = config.num_key_value_heads
    return {"group": groups, "query": config.num_attention_heads // groups}


ATTENTION = {
    "layers.{layer}.self_attn.q_proj.{weight,bias}": "(group query rotary) <- embed",
    "layers.{layer}.self_attn.k_proj.{weight,bias}": "(group rotary) <- embed",
    "layers.{layer}.self_attn.v_proj.{weight,bias}": "(group vdim) <- embed",
    "layers.{layer}.self_attn.o_proj.{weight,bias}": "embed <- (group query vdim)",
    "layers.{layer}.self_attn.{q_norm,k_norm}.weight": "rotary",
}

BODY = {
    "embed_tokens.weight": "vocab embed",
    **ATTENTION,
    "layers.{layer}.mlp.{gate_proj,up_proj,c_fc}.{weight,bias}": "hidden <- embed",
    "layers.{layer}.mlp.{down_proj,c_proj}.{weight,bias}": "embed <- hidden",
    "layers.{layer}.{input_layernorm,post_attention_layernorm}.{weight,bias}": "embed",
    "norm.{weight,bias}": "embed",
}

IGNORE = (r".*rotary_emb\.inv_freq",)
NESTED = {"query": "group"}

FAMILY = Family(name="LLaMA", table={**BODY, **HEADS}, sizes=gqa_sizes, nested=NESTED, ignore=IGNORE)
