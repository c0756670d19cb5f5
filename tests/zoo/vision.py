"""Tiny timm image models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import timm
import torch
from timm.layers import GatedMlp, GluMlp
from timm.models.mlp_mixer import Affine, MlpMixer, ResBlock, SpatialGatingBlock
from timm.models.vision_transformer import ParallelScalingBlock, ResPostBlock

from tests.zoo import Case


def image(size: int = 32) -> dict[str, torch.Tensor]:
    """Return a random batch of two images of the given size in pixels."""
    return {"x": torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))}


def case(
    id: str,
    name: str | Callable[..., Any],
    source: Mapping[str, Any],
    target: Mapping[str, Any],
    size: int = 32,
    output_axes: tuple[str, ...] = (),
) -> Case:
    """Return a timm architecture (a model's name, or a class) with keyword arguments for its two sizes."""
    arguments = {"source": source, "target": {**source, **target}}
    create = partial(timm.create_model, name) if isinstance(name, str) else name
    return Case(id, "timm", lambda which: create(**arguments[which]), lambda: image(size), output_axes)


VIT = {"embed_dim": 32, "depth": 3, "num_heads": 4, "img_size": 32, "num_classes": 5}
VIT_14 = {**VIT, "img_size": 28}
VIT_SMALL = {"embed_dim": 16, "depth": 2, "num_heads": 2}
ROPE = {**VIT, "embed_dim": 64}
ROPE_14 = {**ROPE, "img_size": 28}
ROPE_SMALL = {"embed_dim": 32, "depth": 2, "num_heads": 2}
STAGES = {"depths": (1, 2, 3, 2), "num_classes": 5}
STAGES_SMALL = {"depths": (1, 1, 2, 1)}
DIMS = {**STAGES, "dims": (16, 24, 32, 40)}
DIMS_SMALL = {**STAGES_SMALL, "dims": (8, 16, 24, 32)}
SWIN = {**STAGES, "img_size": 64, "embed_dim": 16, "num_heads": (2, 4, 4, 8), "window_size": 4}
SWIN_SMALL = {**STAGES_SMALL, "embed_dim": 8, "num_heads": (1, 2, 2, 4)}
RES = {"layers": (2, 2, 3, 2), "channels": (8, 16, 24, 32), "num_classes": 5}
RES_SMALL = {"layers": (1, 2, 1, 1), "channels": (8, 8, 16, 16)}
MIXER = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "num_blocks": 3, "num_classes": 5}
MIXER_SMALL = {"embed_dim": 16, "num_blocks": 2}

CASES: list[Case] = [
    case("timm-vit", "vit_tiny_patch16_224", VIT, VIT_SMALL),
    case("timm-vit-headless", "vit_tiny_patch16_224", {**VIT, "num_classes": 0}, VIT_SMALL, output_axes=("embed",)),
    case("timm-vit-avg", "vit_tiny_patch16_224", {**VIT, "global_pool": "avg", "class_token": False}, VIT_SMALL),
    case("timm-vit-norms", "vit_tiny_patch16_224", {**VIT, "qk_norm": True, "scale_attn_norm": True}, VIT_SMALL),
    case("timm-vit-mlp-norm", "vit_tiny_patch16_224", {**VIT, "scale_mlp_norm": True}, VIT_SMALL),
    case("timm-vit-post-norm", "vit_tiny_patch16_224", {**VIT, "block_fn": ResPostBlock}, VIT_SMALL),
    case(
        "timm-vit-parallel",
        "vit_tiny_patch16_224",
        {**VIT, "block_fn": ParallelScalingBlock, "qk_norm": True, "qkv_bias": False, "init_values": 0.1},
        VIT_SMALL,
    ),
    case(
        "timm-vit-parallel-fused",
        "vit_tiny_patch16_224",
        {**VIT, "block_fn": partial(ParallelScalingBlock, fuse_out_proj=True)},
        VIT_SMALL,
    ),
    case("timm-deit-distilled", "deit_tiny_distilled_patch16_224", VIT, VIT_SMALL),
    case("timm-deit3", "deit3_small_patch16_224", VIT, VIT_SMALL),
    case("timm-dinov2-reg", "vit_small_patch14_reg4_dinov2", VIT_14, {**VIT_SMALL, "reg_tokens": 2}, 28),
    case(
        "timm-dinov2-swiglu",
        "vit_giant_patch14_reg4_dinov2",
        VIT_14,
        {**VIT_SMALL, "embed_dim": 24, "num_heads": 3},
        28,
    ),
    case("timm-clip", "vit_base_patch16_clip_224", VIT, VIT_SMALL),
    case("timm-siglip", "vit_base_patch16_siglip_224", VIT, VIT_SMALL),
    case(
        "timm-siglip-headless",
        "vit_base_patch16_siglip_224",
        {**VIT, "num_classes": 0},
        VIT_SMALL,
        output_axes=("pooled",),
    ),
    case("timm-siglip-avg", "vit_base_patch16_siglip_gap_224", {**VIT, "fc_norm": True}, VIT_SMALL),
    case("timm-eva", "eva_giant_patch14_224", VIT_14, VIT_SMALL, 28),
    case("timm-eva02-fused", "eva02_tiny_patch14_336", ROPE_14, ROPE_SMALL, 28),
    case("timm-eva02-split", "eva02_base_patch14_448", ROPE_14, ROPE_SMALL, 28),
    case("timm-eva02-inner-norm", "eva02_base_patch16_clip_224", {**ROPE, "global_pool": "avg"}, ROPE_SMALL),
    case("timm-dinov3", "vit_small_patch16_dinov3", ROPE, ROPE_SMALL),
    case("timm-dinov3-swiglu", "vit_small_plus_patch16_dinov3_qkvb", ROPE, ROPE_SMALL),
    case("timm-pe-core", "vit_pe_core_base_patch16_224", {**ROPE, "attn_pool_num_heads": 4}, ROPE_SMALL),
    case("timm-pe-spatial", "vit_pe_spatial_tiny_patch16_512", ROPE, ROPE_SMALL, output_axes=("embed",)),
    case(
        "timm-sapiens2",
        "vit_base_patch16_sapiens2",
        {**ROPE, "num_kv_heads": (4, 2, 2)},
        {**ROPE_SMALL, "num_kv_heads": (2, 1)},
    ),
    case("timm-beit", "beit_base_patch16_224", VIT, VIT_SMALL),
    case("timm-beitv2", "beitv2_base_patch16_224", VIT, VIT_SMALL),
    case(
        "timm-beit-shared",
        "beit_base_patch16_224",
        {**VIT, "use_rel_pos_bias": False, "use_shared_rel_pos_bias": True, "use_abs_pos_emb": True},
        VIT_SMALL,
    ),
    case("timm-beit-swiglu", "beit_base_patch16_224", {**VIT, "swiglu_mlp": True, "scale_mlp": True}, VIT_SMALL),
    case("timm-swin", "swin_tiny_patch4_window7_224", SWIN, SWIN_SMALL, 64),
    case("timm-swinv2", "swinv2_tiny_window8_256", SWIN, SWIN_SMALL, 64),
    case("timm-convnext", "convnext_tiny", DIMS, DIMS_SMALL, 64),
    case("timm-convnextv2", "convnextv2_tiny", DIMS, DIMS_SMALL, 64),
    case("timm-convnext-conv-mlp", "convnext_atto", DIMS, DIMS_SMALL, 64),
    case("timm-convnext-overlap", "convnext_atto_ols", {**DIMS, "dims": (32, 24, 32, 40)}, DIMS_SMALL, 64),
    case(
        "timm-convnext-act-stem",
        "convnext_tiny",
        {**DIMS, "stem_type": "overlap_act", "head_hidden_size": 12},
        {**DIMS_SMALL, "head_hidden_size": 8},
        64,
    ),
    case("timm-convnext-norm-first", "convnext_tiny", {**DIMS, "head_norm_first": True}, DIMS_SMALL, 64),
    case("timm-resnet-basic", "resnet18", {**RES, "channels": (64, 72, 80, 96)}, {**RES_SMALL, "channels": (64,) * 4}),
    case("timm-resnet-basic-projected", "resnet18", RES, RES_SMALL),
    case("timm-resnet-bottleneck", "resnet50", RES, RES_SMALL),
    case("timm-resnet-deep-stem", "resnet50d", {**RES, "stem_width": 12}, {**RES_SMALL, "stem_width": 8}),
    case("timm-resnet-tiered-stem", "resnet26t", {**RES, "stem_width": 12}, {**RES_SMALL, "stem_width": 8}),
    case(
        "timm-resnext",
        "resnext50_32x4d",
        {**RES, "cardinality": 4, "base_width": 32},
        {**RES_SMALL, "cardinality": 2, "base_width": 32},
    ),
    case("timm-resnet-rs", "resnetrs50", {**RES, "stem_width": 12}, {**RES_SMALL, "stem_width": 8}),
    case("timm-seresnet", "seresnet50", RES, RES_SMALL),
    case("timm-mixer", MlpMixer, MIXER, MIXER_SMALL),
    case("timm-gmixer", MlpMixer, {**MIXER, "mlp_ratio": (1.0, 4.0), "mlp_layer": GluMlp}, MIXER_SMALL),
    case(
        "timm-resmlp",
        MlpMixer,
        {**MIXER, "block_layer": ResBlock, "mlp_ratio": 4, "norm_layer": Affine},
        MIXER_SMALL,
    ),
    case(
        "timm-gmlp",
        MlpMixer,
        {**MIXER, "block_layer": SpatialGatingBlock, "mlp_ratio": 4, "mlp_layer": GatedMlp},
        MIXER_SMALL,
    ),
]
