"""transformers' DINOv2, with and without registers, with plain or gated feed-forward layers."""

from __future__ import annotations

from weightgen.models.families.hf_vit import BLOCK, EMBEDDINGS, sizes
from weightgen.models.layout import Family

FAMILY = Family(
    name="DINOv2",
    table={
        "embeddings.mask_token": "one embed",
        "embeddings.register_tokens": "one prefix:register embed",
        **EMBEDDINGS,
        **{"encoder.layer.{layer}." + pattern: spec for pattern, spec in BLOCK.items()},
        "encoder.layer.{layer}.{norm1,norm2}.{weight,bias}": "embed",
        "encoder.layer.{layer}.{layer_scale1,layer_scale2}.lambda1": "embed",
        "encoder.layer.{layer}.mlp.{gate_proj,up_proj}.{weight,bias}": "hidden <- embed",
        "encoder.layer.{layer}.mlp.down_proj.{weight,bias}": "embed <- hidden",
        "layernorm.{weight,bias}": "embed",
        # The classifier reads the class token, then the mean of the patches.
        "classifier.{weight,bias}": "classes <- embed+embed",
    },
    sizes=sizes,
)
