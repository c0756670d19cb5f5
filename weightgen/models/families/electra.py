"""transformers' ELECTRA: BERT's blocks, with embeddings that may be narrower than the residual stream."""

from __future__ import annotations

from weightgen.models.families.bert import ENCODER
from weightgen.models.families.encoder_heads import POSITION_IDS, unless
from weightgen.models.layout import Family

FAMILY = Family(
    name="ELECTRA",
    table={
        **ENCODER,
        "embeddings.word_embeddings.weight": "vocab embed:table",
        "embeddings.position_embeddings.weight": "positions embed:table",
        "embeddings.token_type_embeddings.weight": "types embed:table",
        "embeddings.LayerNorm.{weight,bias}": "embed:table",
        "embeddings_project.{weight,bias}": "embed <- embed:table",
        "discriminator_predictions.dense.{weight,bias}": "projection <- embed",
        "discriminator_predictions.dense_prediction.{weight,bias}": "one <- projection",
        # The generator's decoder is tied to the embedding as a rule, so its input is laid out like the embedding.
        "generator_predictions.dense.{weight,bias}": "embed:table <- embed",
        "generator_predictions.LayerNorm.{weight,bias}": "embed:table",
        "generator_lm_head.{weight,bias}": "vocab <- embed:table",
        "classifier.dense.{weight,bias}": "projection <- embed",
        "classifier.out_proj.{weight,bias}": "classes <- projection",
        "sequence_summary.summary.{weight,bias}": "pooled <- embed",
        "classifier.{weight,bias}": "classes <- pooled",
        "qa_outputs.{weight,bias}": "two <- embed",
    },
    sizes=lambda model: {"head": model.config.num_attention_heads},
    aliases=unless(
        {
            "embeddings_project.weight": {"embed:table": "embed"},
            "sequence_summary.summary.weight": {"pooled": "embed"},
        }
    ),
    ignore=(POSITION_IDS,),
)
