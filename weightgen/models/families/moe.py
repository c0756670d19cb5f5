"""Mixtures of experts on LLaMA's blocks: Mixtral, Qwen2-MoE and Qwen3-MoE.

All experts of a layer are stacked in one tensor, (expert, out, in), and so share one choice of hidden units.
"""

from __future__ import annotations

from weightgen.models.families.heads import HEADS
from weightgen.models.families.llama import BODY, IGNORE, NESTED, gqa_sizes
from weightgen.models.layout import Family

EXPERTS = {
    "layers.{layer}.mlp.gate.weight": "expert <- embed",
    "layers.{layer}.mlp.experts.gate_up_proj": "expert hidden:expert+hidden:expert <- embed",
    "layers.{layer}.mlp.experts.down_proj": "expert embed <- hidden:expert",
    "layers.{layer}.mlp.shared_expert.{gate_proj,up_proj}.weight": "hidden:shared <- embed",
    "layers.{layer}.mlp.shared_expert.down_proj.weight": "embed <- hidden:shared",
    "layers.{layer}.mlp.shared_expert_gate.weight": "one <- embed",
}

FAMILY = Family(
    name="mixture of experts", table={**EXPERTS, **BODY, **HEADS}, sizes=gqa_sizes, nested=NESTED, ignore=IGNORE
)
