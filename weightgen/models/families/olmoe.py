"""OLMoE: a mixture of experts with OLMo's norms over all heads together."""

from __future__ import annotations

from dataclasses import replace

from weightgen.models.families.moe import FAMILY as MOE
from weightgen.models.families.olmo import JOINT_NORMS

FAMILY = replace(MOE, name="OLMoE", table={**JOINT_NORMS, **MOE.table})
