"""transformers' MPNet, and the sentence encoders built on it."""

from __future__ import annotations

from weightgen.models.families.encoder_heads import POSITION_IDS
from weightgen.models.families.roberta import ALIASES, HEADS
from weightgen.models.layout import Family

FAMILY = Family(
    name="MPNet",
    table={
        "embeddings.word_embeddings.weight": "vocab embed",
        "embeddings.position_embeddings.weight": "positions embed",
        "embeddings.LayerNorm.{weight,bias}": "embed",
        # One table of position biases serves every layer, so that heads are tied across layers.
        "encoder.relative_attention_bias.weight": "buckets heads",
        "encoder.layer.{layer}.attention.attn.{q,k}.{weight,bias}": "(heads dim) <- embed",
        "encoder.layer.{layer}.attention.attn.v.{weight,bias}": "(heads vdim) <- embed",
        "encoder.layer.{layer}.attention.attn.o.{weight,bias}": "embed <- (heads vdim)",
        "encoder.layer.{layer}.attention.LayerNorm.{weight,bias}": "embed",
        "encoder.layer.{layer}.intermediate.dense.{weight,bias}": "hidden <- embed",
        "encoder.layer.{layer}.output.dense.{weight,bias}": "embed <- hidden",
        "encoder.layer.{layer}.output.LayerNorm.{weight,bias}": "embed",
        "pooler.dense.{weight,bias}": "pooled <- embed",
        **HEADS,
    },
    sizes=lambda model: {"heads": model.config.num_attention_heads},
    aliases=ALIASES,
    ignore=(POSITION_IDS,),
)
