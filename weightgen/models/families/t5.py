"""transformers' T5, mT5 and UMT5: relative position biases per head, one embedding for both stacks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weightgen.models.layout import Family

CROSS = "decoder.block.{decoder}.layer.1.EncDecAttention."


def _stack(side: str, feed_forward: int, shared_bias: bool) -> dict[str, str]:
    block = f"{side}.block.{{{side}}}.layer."
    attention = block + "0.SelfAttention."
    # T5 stores the biases in block 0 and adds them in every block, which ties heads across blocks.
    head = f"heads:{side}" if shared_bias else "head"
    bias = attention.replace(f"{{{side}}}", f"{{{side}=0}}") if shared_bias else attention
    return {
        bias + "relative_attention_bias.weight": f"buckets {head}",
        attention + "{q,k}.weight": f"({head} dim) <- embed",
        attention + "v.weight": f"({head} vdim) <- embed",
        attention + "o.weight": f"embed <- ({head} vdim)",
        block + "{0,1,2}.layer_norm.weight": "embed",
        block + f"{feed_forward}.DenseReluDense.{{wi,wi_0,wi_1}}.weight": "hidden <- embed",
        block + f"{feed_forward}.DenseReluDense.wo.weight": "embed <- hidden",
        f"{side}.final_layer_norm.weight": "embed",
    }


def _table(shared_bias: bool) -> dict[str, str]:
    return {
        "{shared,encoder.embed_tokens,decoder.embed_tokens}.weight": "vocab embed",
        **_stack("encoder", 1, shared_bias),
        **_stack("decoder", 2, shared_bias),
        CROSS + "{q,k}.weight": "(head:cross dim:cross) <- embed",
        CROSS + "v.weight": "(head:cross vdim:cross) <- embed",
        CROSS + "o.weight": "embed <- (head:cross vdim:cross)",
        "lm_head.weight": "vocab <- embed",
        "classification_head.dense.{weight,bias}": "projection <- embed",
        "classification_head.out_proj.{weight,bias}": "classes <- projection",
        "classifier.{weight,bias}": "classes <- embed",
        "qa_outputs.{weight,bias}": "two <- embed",
    }


def _sizes(model: Any) -> Mapping[str, int]:
    return dict.fromkeys(("head", "heads:encoder", "heads:decoder", "head:cross"), model.config.num_heads)


FAMILY = Family(name="T5", table=_table(shared_bias=True), sizes=_sizes)
UMT5 = Family(name="UMT5", table=_table(shared_bias=False), sizes=_sizes)
