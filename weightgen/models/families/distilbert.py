"""transformers' DistilBERT."""

from __future__ import annotations

from weightgen.models.families.encoder_heads import POSITION_IDS, unless
from weightgen.models.layout import Family

FAMILY = Family(
    name="DistilBERT",
    table={
        "embeddings.word_embeddings.weight": "vocab embed",
        "embeddings.position_embeddings.weight": "positions embed",
        "embeddings.LayerNorm.{weight,bias}": "embed",
        "transformer.layer.{layer}.attention.{q_lin,k_lin}.{weight,bias}": "(head dim) <- embed",
        "transformer.layer.{layer}.attention.v_lin.{weight,bias}": "(head vdim) <- embed",
        "transformer.layer.{layer}.attention.out_lin.{weight,bias}": "embed <- (head vdim)",
        "transformer.layer.{layer}.{sa_layer_norm,output_layer_norm}.{weight,bias}": "embed",
        "transformer.layer.{layer}.ffn.lin1.{weight,bias}": "hidden <- embed",
        "transformer.layer.{layer}.ffn.lin2.{weight,bias}": "embed <- hidden",
        "vocab_transform.{weight,bias}": "projection <- embed",
        "vocab_layer_norm.{weight,bias}": "projection",
        "vocab_projector.{weight,bias}": "vocab <- projection",
        "pre_classifier.{weight,bias}": "pooled <- embed",
        "classifier.{weight,bias}": "classes <- pooled",
        "qa_outputs.{weight,bias}": "two <- embed",
    },
    sizes=lambda model: {"head": model.config.n_heads},
    aliases=unless({"pre_classifier.weight": {"pooled": "embed"}, "vocab_projector.weight": {"projection": "embed"}}),
    ignore=(POSITION_IDS,),
)
