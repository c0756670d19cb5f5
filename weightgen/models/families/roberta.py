"""transformers' RoBERTa, XLM-RoBERTa and CamemBERT: BERT's blocks under other heads."""

from __future__ import annotations

from weightgen.models.families.bert import ENCODER
from weightgen.models.families.encoder_heads import POSITION_IDS, unless
from weightgen.models.layout import Family

HEADS = {
    "lm_head.dense.{weight,bias}": "projection <- embed",
    "lm_head.layer_norm.{weight,bias}": "projection",
    "lm_head.decoder.{weight,bias}": "vocab <- projection",
    "lm_head.bias": "vocab",
    "classifier.dense.{weight,bias}": "projection:classes <- embed",
    "classifier.out_proj.{weight,bias}": "classes <- projection:classes",
    "classifier.{weight,bias}": "classes <- pooled",
    "qa_outputs.{weight,bias}": "two <- embed",
}

ALIASES = unless({"pooler.dense.weight": {"pooled": "embed"}, "lm_head.decoder.weight": {"projection": "embed"}})

FAMILY = Family(
    name="RoBERTa",
    table={**ENCODER, **HEADS},
    sizes=lambda model: {"head": model.config.num_attention_heads},
    aliases=ALIASES,
    ignore=(POSITION_IDS,),
)
