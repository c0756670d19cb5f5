"""transformers' BERT and the sentence encoders built on it."""

from __future__ import annotations

from weightgen.models.families.encoder_heads import POSITION_IDS, unless
from weightgen.models.layout import Family

ENCODER = {
    "embeddings.word_embeddings.weight": "vocab embed",
    "embeddings.position_embeddings.weight": "positions embed",
    "embeddings.token_type_embeddings.weight": "types embed",
    "embeddings.LayerNorm.{weight,bias}": "embed",
    "encoder.layer.{layer}.attention.self.{query,key}.{weight,bias}": "(head dim) <- embed",
    "encoder.layer.{layer}.attention.self.value.{weight,bias}": "(head vdim) <- embed",
    "encoder.layer.{layer}.attention.output.dense.{weight,bias}": "embed <- (head vdim)",
    "encoder.layer.{layer}.attention.output.LayerNorm.{weight,bias}": "embed",
    "encoder.layer.{layer}.intermediate.dense.{weight,bias}": "hidden <- embed",
    "encoder.layer.{layer}.output.dense.{weight,bias}": "embed <- hidden",
    "encoder.layer.{layer}.output.LayerNorm.{weight,bias}": "embed",
    "pooler.dense.{weight,bias}": "pooled <- embed",
}

FAMILY = Family(
    name="BERT",
    table={
        **ENCODER,
        "cls.predictions.transform.dense.{weight,bias}": "projection <- embed",
        "cls.predictions.transform.LayerNorm.{weight,bias}": "projection",
        "cls.predictions.decoder.{weight,bias}": "vocab <- projection",
        "cls.predictions.bias": "vocab",
        "cls.seq_relationship.{weight,bias}": "two <- pooled",
        "classifier.{weight,bias}": "classes <- pooled",
        "qa_outputs.{weight,bias}": "two <- embed",
    },
    sizes=lambda model: {"head": model.config.num_attention_heads},
    aliases=unless(
        {"pooler.dense.weight": {"pooled": "embed"}, "cls.predictions.decoder.weight": {"projection": "embed"}}
    ),
    ignore=(POSITION_IDS,),
)
