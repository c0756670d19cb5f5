"""transformers' SigLIP: CLIP's towers, a text head and attention pooling of the image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weightgen.models.families.clip import sizes, tower
from weightgen.models.families.encoder_heads import POSITION_IDS
from weightgen.models.layout import Family

TEXT_HEAD = {"head.{weight,bias}": "projection:text <- embed:text"}
# The probe asks as a row of `in_proj`, whose columns also read the patches: both are laid out alike.
POOLING = {
    "head.probe": "one one embed:vision",
    "head.attention.in_proj_{weight,bias}": (
        "(head:pool dim:pool)+(head:pool dim:pool)+(head:pool vdim:pool) <- embed:vision"
    ),
    "head.attention.out_proj.{weight,bias}": "projection <- (head:pool vdim:pool)",
    "head.layernorm.{weight,bias}": "projection",
    "head.mlp.fc1.{weight,bias}": "hidden:pool <- projection",
    "head.mlp.fc2.{weight,bias}": "projection <- hidden:pool",
}


def _aliases(model: Any) -> Mapping[str, str]:
    """Compare what both towers give, unless their sizes differ: then they share no axis."""
    config = model.config
    apart = hasattr(config, "vision_config") and config.text_config.projection_size != config.vision_config.hidden_size
    return {} if apart else {"projection:text": "projection"}


TEXT_LINES = tower("text") | TEXT_HEAD
VISION_LINES = tower("vision") | POOLING

FAMILY = Family(
    name="SigLIP",
    table={
        **{"text_model." + pattern: spec for pattern, spec in TEXT_LINES.items()},
        **{"vision_model." + pattern: spec for pattern, spec in VISION_LINES.items()},
        "{logit_scale,logit_bias}": "one",
        "classifier.{weight,bias}": "classes <- embed:vision",
    },
    sizes=sizes,
    ignore=(POSITION_IDS,),
    aliases=_aliases,
)
TEXT = Family(name="SigLIP text tower", table=TEXT_LINES, sizes=sizes, ignore=(POSITION_IDS,), aliases=_aliases)
VISION = Family(name="SigLIP vision tower", table=VISION_LINES, sizes=sizes, ignore=(POSITION_IDS,))
