"""transformers' ViT and DeiT."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weightgen.models.layout import Family


def grid_cells(config: Any) -> int:
    """Return the number of patches of an image of the configured size."""
    sides = (config.image_size, config.patch_size)
    (height, width), (patch_height, patch_width) = (s if isinstance(s, (list, tuple)) else (s, s) for s in sides)
    return int((height // patch_height) * (width // patch_width))


def sizes(model: Any) -> Mapping[str, int]:
    """Sizes that shapes alone do not tell: heads, and how many positions are those of patches."""
    return {"head": model.config.num_attention_heads, "grid": grid_cells(model.config)}


EMBEDDINGS = {
    "embeddings.{cls_token,distillation_token,mask_token}": "one one embed",
    "embeddings.position_embeddings": "one prefix+grid embed",
    "embeddings.patch_embeddings.projection.{weight,bias}": "embed <- channels patch patch",
}
BLOCK = {
    "attention.{q_proj,k_proj}.{weight,bias}": "(head dim) <- embed",
    "attention.v_proj.{weight,bias}": "(head vdim) <- embed",
    "attention.o_proj.{weight,bias}": "embed <- (head vdim)",
    "mlp.fc1.{weight,bias}": "hidden <- embed",
    "mlp.fc2.{weight,bias}": "embed <- hidden",
}

FAMILY = Family(
    name="ViT",
    table={
        **EMBEDDINGS,
        **{"layers.{layer}." + pattern: spec for pattern, spec in BLOCK.items()},
        "layers.{layer}.{layernorm_before,layernorm_after}.{weight,bias}": "embed",
        "layernorm.{weight,bias}": "embed",
        "pooler.dense.{weight,bias}": "pooled <- embed",
        # Masked image modelling: the pixels of one patch, channel by channel.
        "decoder.0.{weight,bias}": "any <- embed",
        "{classifier,cls_classifier,distillation_classifier}.{weight,bias}": "classes <- embed",
    },
    sizes=sizes,
)
