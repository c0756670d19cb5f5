"""LLaMA and the decoders that share its blocks: Mistral, Qwen2, Qwen3, Gemma."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weightgen.models.axes import Family


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

FAMILY = Family(
    name="LLaMA",
    table={
        "embed_tokens.weight": "vocab embed",
        **ATTENTION,
        "layers.{layer}.mlp.{gate_proj,up_proj}.{weight,bias}": "hidden <- embed",
        "layers.{layer}.mlp.down_proj.{weight,bias}": "embed <- hidden",
        "layers.{layer}.{input_layernorm,post_attention_layernorm}.weight": "embed",
        "norm.weight": "embed",
        "lm_head.weight": "vocab <- embed",
        "score.weight": "classes <- embed",
    },
    sizes=gqa_sizes,
    nested={"query": "group"},
)
