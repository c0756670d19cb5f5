"""timm's VisionTransformer: ViT, DeiT, DeiT3, AugReg, DINOv2 with registers, CLIP and SigLIP image towers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weightgen.models.layout import Family


def token_sizes(model: Any) -> dict[str, int]:
    """Sizes of the position table: the patches of the grid, and the tokens before them that have positions too."""
    grid = model.patch_embed.num_patches
    stored = model.pos_embed.shape[1] if model.pos_embed is not None else grid
    return {"grid": grid, "prefix": stored - grid}


def pool_sizes(model: Any) -> dict[str, int]:
    """Heads of the attention pool, where there is one."""
    pool = getattr(model, "attn_pool", None)
    return {} if pool is None else {"head:pool": pool.num_heads}


def pool_aliases(model: Any) -> dict[str, str]:
    """Without a pool that projects, the classifier reads the residual stream itself."""
    return {} if hasattr(getattr(model, "attn_pool", None), "latent") else {"pooled": "embed"}


def _sizes(model: Any) -> Mapping[str, int]:
    block = model.blocks[0]
    attention = getattr(block, "attn", block)  # a parallel block is its own attention
    width = attention.head_dim
    return {"head": attention.num_heads, "dim": width, "vdim": width, **token_sizes(model), **pool_sizes(model)}


EMBEDDINGS = {
    "{cls_token,dist_token}": "one one embed",
    "reg_token": "one prefix:register embed",
    "pos_embed": "one prefix+grid embed",
    "patch_embed.proj.{weight,bias}": "embed <- channels patch patch",
    "{patch_embed.norm,norm_pre}.{weight,bias}": "embed",
}
"""What comes before the blocks."""

# A gated MLP packs its two halves into fc1; `halves` is 1 in a plain one.
MLP = {
    "blocks.{layer}.mlp.{fc1_g,fc1_x}.{weight,bias}": "hidden <- embed",
    "blocks.{layer}.mlp.fc1.{weight,bias}": "(halves hidden) <- embed",
    "blocks.{layer}.mlp.norm.{weight,bias}": "hidden",
    "blocks.{layer}.mlp.fc2.{weight,bias}": "embed <- hidden",
}

POOL_AND_HEAD = {
    "attn_pool.latent": "one types:latent embed:latent",
    "attn_pool.pos_embed": "grid embed",
    "attn_pool.q.{weight,bias}": "(head:pool dim:pool) <- embed:latent",
    "attn_pool.kv.{weight,bias}": "(head:pool dim:pool)+(head:pool vdim:pool) <- embed",
    "attn_pool.{q_norm,k_norm}.{weight,bias}": "dim:pool",
    "attn_pool.proj.{weight,bias}": "pooled <- (head:pool vdim:pool)",
    "attn_pool.norm.{weight,bias}": "pooled",
    "attn_pool.mlp.fc1.{weight,bias}": "hidden:pool <- pooled",
    "attn_pool.mlp.fc2.{weight,bias}": "pooled <- hidden:pool",
    "norm.{weight,bias}": "embed",
    "fc_norm.{weight,bias}": "pooled",
    "{head,head_dist}.{weight,bias}": "classes <- pooled",
}
"""What comes after the blocks."""

NORM_RENAMES = {r"^fc_norm\.": "norm.", r"^norm\.": "fc_norm."}
"""Average pooling moves the last norm behind the pool."""

FAMILY = Family(
    name="timm ViT",
    table={
        **EMBEDDINGS,
        "blocks.{layer}.{norm1,norm2}.{weight,bias}": "embed",
        "blocks.{layer}.attn.qkv.{weight,bias}": "(head dim)+(head dim)+(head vdim) <- embed",
        "blocks.{layer}.attn.{q_norm,k_norm}.{weight,bias}": "dim",
        "blocks.{layer}.attn.norm.{weight,bias}": "(head vdim)",
        "blocks.{layer}.attn.gate.{weight,bias}": "(head vdim) <- embed",
        "blocks.{layer}.attn.proj.{weight,bias}": "embed <- (head vdim)",
        "blocks.{layer}.{ls1,ls2}.gamma": "embed",
        **MLP,
        # Parallel blocks (ViT-22B) read one fused projection and write two or one.
        "blocks.{layer}.in_norm.{weight,bias}": "embed",
        "blocks.{layer}.in_proj.{weight,bias}": "hidden+(head dim)+(head dim)+(head vdim) <- embed",
        "blocks.{layer}.mlp_bias": "hidden",
        "blocks.{layer}.{q_norm,k_norm}.{weight,bias}": "dim",
        "blocks.{layer}.attn_out_proj.{weight,bias}": "embed <- (head vdim)",
        "blocks.{layer}.mlp_out_proj.{weight,bias}": "embed <- hidden",
        "blocks.{layer}.out_proj.{weight,bias}": "embed <- (head vdim)+hidden",
        "blocks.{layer}.ls.gamma": "embed",
        **POOL_AND_HEAD,
    },
    sizes=_sizes,
    renames=NORM_RENAMES,
    aliases=pool_aliases,
)
