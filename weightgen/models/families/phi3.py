"""Phi-3 and Phi-4: LLaMA's blocks with q, k and v in one projection, and gate and up in another."""

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
    name="Phi-3",
    table={
        "embed_tokens.weight": "vocab embed",
        "layers.{layer}.self_attn.qkv_proj.weight": (
            "(group query {rotary + dim})+(group {rotary + dim})+(group vdim) <- embed"
        ),
        "layers.{layer}.self_attn.o_proj.weight": "embed <- (group query vdim)",
        "layers.{layer}.mlp.gate_up_proj.weight": "hidden+hidden <- embed",
        "layers.{layer}.mlp.down_proj.weight": "embed <- hidden",
        "layers.{layer}.{input_layernorm,post_attention_layernorm}.weight": "embed",
        "norm.weight": "embed",
        **HEADS,
    },
    sizes=_sizes,
    nested=NESTED,
    ignore=IGNORE,
)
