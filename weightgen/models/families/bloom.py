"""BLOOM and Falcon: q, k and v are stored group by group in one projection.

Linear attention biases (ALiBi) give every head a slope of its own by its place, so that such heads are fixed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weightgen.models.families.heads import HEADS
from weightgen.models.families.llama import NESTED
from weightgen.models.layout import Family


def _alibi(config: Any) -> bool:
    return bool(config.model_type == "bloom" or config.alibi)


def _sizes(model: Any) -> Mapping[str, int]:
    config = model.config
    heads = config.num_attention_heads
    groups = heads
    if config.model_type == "falcon" and config.new_decoder_architecture:
        groups = config.num_kv_heads
    elif config.model_type == "falcon" and config.multi_query:
        groups = 1
    queries = heads // groups
    return {"group": groups, "query": queries, "any:group": groups, "any:query": queries}


def _aliases(model: Any) -> Mapping[str, str]:
    return {"rotary": "dim", "group": "any:group", "query": "any:query"} if _alibi(model.config) else {}


FAMILY = Family(
    name="BLOOM and Falcon",
    table={
        "word_embeddings.weight": "vocab embed",
        "word_embeddings_layernorm.{weight,bias}": "embed",
        "h.{layer}.{input_layernorm,post_attention_layernorm,ln_attn,ln_mlp}.{weight,bias}": "embed",
        "h.{layer}.self_attention.query_key_value.{weight,bias}": "(group {query rotary + rotary + vdim}) <- embed",
        "h.{layer}.self_attention.dense.{weight,bias}": "embed <- (group query vdim)",
        "h.{layer}.mlp.dense_h_to_4h.{weight,bias}": "hidden <- embed",
        "h.{layer}.mlp.dense_4h_to_h.{weight,bias}": "embed <- hidden",
        "ln_f.{weight,bias}": "embed",
        **HEADS,
    },
    sizes=_sizes,
    nested=NESTED,
    aliases=_aliases,
    ignore=(r".*rotary_emb\.inv_freq",),
)
