"""timm's VisionTransformer: ViT, DeiT, DeiT3, AugReg, DINOv2, DINOv3-style registers, CLIP and SigLIP image towers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weightgen.models.axes import Family


def _sizes(model: Any) -> Mapping[str, int]:
    grid = model.patch_embed.num_patches
    stored = model.pos_embed.shape[1] if model.pos_embed is not None else grid
    sizes = {"head": model.blocks[0].attn.num_heads, "grid": grid, "prefix": stored - grid}
    if getattr(model, "attn_pool", None) is not None:
        sizes["head:pool"] = model.attn_pool.num_heads
    return sizes


FAMILY = Family(
    name="timm ViT",
    table={
        "cls_token": "one one embed",
        "dist_token": "one one embed",
        "reg_token": "one types embed",
        "pos_embed": "one prefix+grid embed",
        "patch_embed.proj.{weight,bias}": "embed <- channels patch patch",
        "patch_embed.norm.{weight,bias}": "embed",
        "norm_pre.{weight,bias}": "embed",
        "blocks.{layer}.norm1.{weight,bias}": "embed",
        "blocks.{layer}.norm2.{weight,bias}": "embed",
        "blocks.{layer}.attn.qkv.{weight,bias}": "(head dim)+(head dim)+(head vdim) <- embed",
        "blocks.{layer}.attn.{q_norm,k_norm}.{weight,bias}": "dim",
        "blocks.{layer}.attn.norm.{weight,bias}": "(head vdim)",
        "blocks.{layer}.attn.proj.{weight,bias}": "embed <- (head vdim)",
        "blocks.{layer}.{ls1,ls2}.gamma": "embed",
        "blocks.{layer}.mlp.fc1.{weight,bias}": "hidden <- embed",
        "blocks.{layer}.mlp.norm.{weight,bias}": "hidden",
        "blocks.{layer}.mlp.fc2.{weight,bias}": "embed <- hidden",
        "{norm,fc_norm}.{weight,bias}": "embed",
        "{head,head_dist}.{weight,bias}": "classes <- embed",
    },
    sizes=_sizes,
    renames={r"fc_norm\.": "norm.", r"norm\.": "fc_norm."},
)
