"""GPT-NeoX and Pythia: q, k and v are stored head by head, and only the leading part of each head rotates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weightgen.models.families.heads import HEADS
from weightgen.models.families.rotation import partial_rotary_sizes
from weightgen.models.layout import Family


def _sizes(model: Any) -> Mapping[str, int]:
    return {"head": model.config.num_attention_heads, **partial_rotary_sizes(model)}


FAMILY = Family(
    name="GPT-NeoX",
    table={
        "embed_in.weight": "vocab embed",
        "layers.{layer}.{input_layernorm,post_attention_layernorm}.{weight,bias}": "embed",
        "layers.{layer}.attention.query_key_value.{weight,bias}": (
            "(head {rotary + dim + rotary + dim + vdim}) <- embed"
        ),
        "layers.{layer}.attention.dense.{weight,bias}": "embed <- (head vdim)",
        "layers.{layer}.mlp.dense_h_to_4h.{weight,bias}": "hidden <- embed",
        "layers.{layer}.mlp.dense_4h_to_h.{weight,bias}": "embed <- hidden",
        "final_layer_norm.{weight,bias}": "embed",
        # The head's name in files written before transformers 5.
        "embed_out.weight": "vocab <- embed",
        **HEADS,
    },
    sizes=_sizes,
    renames={r"lm_head\.": "embed_out."},
    # Old files keep the causal mask and the rotation beside each attention.
    ignore=(r"layers\.\d+\.attention\.(bias|masked_bias|rotary_emb\.inv_freq)",),
)
