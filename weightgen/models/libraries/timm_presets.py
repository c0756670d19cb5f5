"""Presets of timm: short names of common architectures."""

from __future__ import annotations

from weightgen.models.reference import Reference


def _timm(pattern: str, prefix: str, sizes: str) -> dict[str, str]:
    return {f"{prefix}-{s}": pattern.format(s.replace("-", "_")) for s in sizes.split()}


_ARCHITECTURES: dict[str, str] = {
    **_timm("vit_{}_patch16_224", "vit", "tiny small base large"),
    "vit-huge": "vit_huge_patch14_224",
    **_timm("deit_{}_patch16_224", "deit", "tiny small base"),
    **_timm("deit3_{}_patch16_224", "deit3", "small medium base large"),
    **_timm("vit_{}_patch14_dinov2", "dinov2", "small base large giant"),
    **_timm("convnext_{}", "convnext", "atto femto pico nano tiny small base large xlarge"),
    **_timm("convnextv2_{}", "convnextv2", "atto femto pico nano tiny base large huge"),
    **_timm("swin_{}_patch4_window7_224", "swin", "tiny small base large"),
    **_timm("resnet{}", "resnet", "18 34 50 101 152"),
}

PRESETS = {name: Reference(name, "timm", architecture) for name, architecture in _ARCHITECTURES.items()}
