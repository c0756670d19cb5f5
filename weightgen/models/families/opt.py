"""OPT: positions after two reserved rows, and token embeddings that may be narrower than the blocks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weightgen.models.layout import Family


def _aliases(model: Any) -> Mapping[str, str]:
    # Only OPT-350M projects its tokens; elsewhere they live in the residual stream.
    config = model.config
    return {"projection": "embed"} if config.word_embed_proj_dim == config.hidden_size else {}


FAMILY = Family(
    name="OPT",
    table={
        "decoder.embed_tokens.weight": "vocab projection",
        "decoder.embed_positions.weight": "two+positions embed",
        "decoder.project_in.weight": "embed <- projection",
        "decoder.project_out.weight": "projection <- embed",
        "decoder.layers.{layer}.self_attn.{q_proj,k_proj}.{weight,bias}": "(head dim) <- embed",
        "decoder.layers.{layer}.self_attn.v_proj.{weight,bias}": "(head vdim) <- embed",
        "decoder.layers.{layer}.self_attn.out_proj.{weight,bias}": "embed <- (head vdim)",
        "decoder.layers.{layer}.{self_attn_layer_norm,final_layer_norm}.{weight,bias}": "embed",
        "decoder.layers.{layer}.fc1.{weight,bias}": "hidden <- embed",
        "decoder.layers.{layer}.fc2.{weight,bias}": "embed <- hidden",
        "decoder.final_layer_norm.{weight,bias}": "embed",
        "lm_head.weight": "vocab <- projection",
        "score.weight": "classes <- projection",
        "qa_outputs.{weight,bias}": "two <- projection",
    },
    sizes=lambda model: {"head": model.config.num_attention_heads},
    aliases=_aliases,
)
