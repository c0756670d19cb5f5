"""transformers' CLIP: a text tower and a vision tower, together or alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weightgen.models.families.encoder_heads import POSITION_IDS
from weightgen.models.families.hf_vit import grid_cells
from weightgen.models.layout import Family


def tower(side: str, prefix: str = "") -> dict[str, str]:
    """Return the lines that CLIP and SigLIP share for one tower, `text` or `vision`.

    The tower's depth is named after its side, so that the two stacks of one model are cut separately.
    """
    embed, head = f"embed:{side}", f"head:{side}"
    block = "encoder.layers.{" + side + "}."
    table = {
        block + "self_attn.{q_proj,k_proj}.{weight,bias}": f"({head} dim) <- {embed}",
        block + "self_attn.v_proj.{weight,bias}": f"({head} vdim) <- {embed}",
        block + "self_attn.out_proj.{weight,bias}": f"{embed} <- ({head} vdim)",
        block + "{layer_norm1,layer_norm2}.{weight,bias}": embed,
        block + "mlp.fc1.{weight,bias}": f"hidden <- {embed}",
        block + "mlp.fc2.{weight,bias}": f"{embed} <- hidden",
        "{pre_layrnorm,post_layernorm,final_layer_norm}.{weight,bias}": embed,
        "embeddings.token_embedding.weight": f"vocab {embed}",
        "embeddings.class_embedding": embed,
        "embeddings.patch_embedding.{weight,bias}": f"{embed} <- channels patch patch",
        "embeddings.position_embedding.weight": f"positions {embed}" if side == "text" else f"prefix+grid {embed}",
    }
    return {prefix + pattern: spec for pattern, spec in table.items()}


def sizes(model: Any) -> Mapping[str, int]:
    """Heads of each tower, and the patches of the vision tower; a tower alone has its own configuration."""
    found = {}
    text, vision = (getattr(model.config, f"{side}_config", model.config) for side in ("text", "vision"))
    found["head:text"] = text.num_attention_heads
    found["head:vision"] = found["head:pool"] = vision.num_attention_heads
    if hasattr(vision, "patch_size"):
        found["grid"] = grid_cells(vision)
    return found


PROJECTIONS = {
    "text_projection.weight": "projection <- embed:text",
    "visual_projection.weight": "projection <- embed:vision",
    "classifier.{weight,bias}": "classes <- embed:vision",
}

FAMILY = Family(
    name="CLIP",
    table={**tower("text", "text_model."), **tower("vision", "vision_model."), "logit_scale": "one", **PROJECTIONS},
    sizes=sizes,
    ignore=(POSITION_IDS,),
)
TEXT = Family(name="CLIP text tower", table={**tower("text"), **PROJECTIONS}, sizes=sizes, ignore=(POSITION_IDS,))
VISION = Family(name="CLIP vision tower", table={**tower("vision"), **PROJECTIONS}, sizes=sizes, ignore=(POSITION_IDS,))
