"""Gemma, Gemma 2 and the text part of Gemma 3: LLaMA's blocks, with norms also after each branch.

Their norms multiply by (1 + weight), and the embedding is multiplied by sqrt(hidden_size).
"""

from __future__ import annotations

from weightgen.models.families.heads import HEADS
from weightgen.models.families.llama import BODY, IGNORE, NESTED, gqa_sizes
from weightgen.models.layout import Family

FAMILY = Family(
    name="Gemma",
    table={**BODY, "layers.{layer}.{pre_feedforward_layernorm,post_feedforward_layernorm}.weight": "embed", **HEADS},
    sizes=gqa_sizes,
    nested=NESTED,
    ignore=IGNORE,
)
