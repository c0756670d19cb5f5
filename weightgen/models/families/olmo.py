"""OLMo 2: norms after each branch, and one norm over all heads' queries (and keys) together."""

from __future__ import annotations

from weightgen.models.families.heads import HEADS
from weightgen.models.families.llama import BODY, IGNORE, NESTED, gqa_sizes
from weightgen.models.layout import Family

JOINT_NORMS = {
    "layers.{layer}.self_attn.q_norm.weight": "(group query rotary)",
    "layers.{layer}.self_attn.k_norm.weight": "(group rotary)",
}

FAMILY = Family(
    name="OLMo 2",
    table={**JOINT_NORMS, **BODY, "layers.{layer}.post_feedforward_layernorm.weight": "embed", **HEADS},
    sizes=gqa_sizes,
    nested=NESTED,
    ignore=IGNORE,
)
