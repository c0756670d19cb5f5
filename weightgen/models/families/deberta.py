"""transformers' DeBERTa v2 and v3: content and relative positions attend to each other."""

from __future__ import annotations

from weightgen.models.families.bert import ENCODER
from weightgen.models.families.encoder_heads import POSITION_IDS, unless
from weightgen.models.layout import Family

SELF = "encoder.layer.{layer}.attention.self."

FAMILY = Family(
    name="DeBERTa v2",
    table={
        **{pattern: spec for pattern, spec in ENCODER.items() if not pattern.startswith(SELF)},
        # Position keys and queries are compared with content queries and keys: they share every head's `dim`.
        SELF + "{query_proj,key_proj,pos_key_proj,pos_query_proj}.{weight,bias}": "(head dim) <- embed",
        SELF + "value_proj.{weight,bias}": "(head vdim) <- embed",
        "embeddings.word_embeddings.weight": "vocab embed:table",
        "embeddings.position_embeddings.weight": "positions embed:table",
        "embeddings.token_type_embeddings.weight": "types embed:table",
        "embeddings.embed_proj.weight": "embed <- embed:table",
        "encoder.rel_embeddings.weight": "buckets embed",
        "encoder.LayerNorm.{weight,bias}": "embed",
        "encoder.conv.conv.{weight,bias}": "embed <- embed kernel",
        "encoder.conv.LayerNorm.{weight,bias}": "embed",
        "cls.predictions.transform.dense.{weight,bias}": "projection <- embed",
        "cls.predictions.transform.LayerNorm.{weight,bias}": "projection",
        "cls.predictions.decoder.{weight,bias}": "vocab <- projection",
        "cls.predictions.bias": "vocab",
        # The newer head multiplies by the word embedding without declaring a tied weight.
        "lm_predictions.lm_head.{dense,LayerNorm}.{weight,bias}": "embed <- embed",
        "lm_predictions.lm_head.bias": "vocab",
        "classifier.{weight,bias}": "classes <- pooled",
        "qa_outputs.{weight,bias}": "two <- embed",
    },
    sizes=lambda model: {"head": model.config.num_attention_heads},
    aliases=unless(
        {
            "embeddings.embed_proj.weight": {"embed:table": "embed"},
            "pooler.dense.weight": {"pooled": "embed"},
            "cls.predictions.decoder.weight": {"projection": "embed:table"},
        }
    ),
    ignore=(POSITION_IDS,),
)
