"""What images a model takes."""

from __future__ import annotations

from typing import Any

from weightgen.errors import UsageError
from weightgen.models.architecture import Architecture


def input_size(architecture: Architecture, wanted: int | None = None) -> tuple[int, int]:
    """Return the side in pixels and the number of channels of the images that a model takes.

    `wanted` chooses the side for models that take any, as convolutional ones do.
    """
    if architecture.library == "transformers":
        config = architecture.config
        if not hasattr(config, "image_size"):
            raise UsageError(f"{architecture.name} takes no images: choose an image classifier")
        side, channels = config.image_size, int(getattr(config, "num_channels", 3))
    elif architecture.library == "weightgen":
        raise UsageError(f"a {architecture.name} makes images of images: train it with --task translate")
    else:
        import torch

        # timm's pretrained_cfg tells of the published weights, not of a model built with img_size or in_chans.
        model: Any = architecture.model
        told = (model.pretrained_cfg or {}).get("input_size", (3, 224, 224))
        first = next((m for m in model.modules() if isinstance(m, torch.nn.Conv2d)), None)
        fixed = getattr(getattr(model, "patch_embed", None), "img_size", None)
        side, channels = fixed or wanted or told[1], told[0] if first is None else first.in_channels
    side = int(side if isinstance(side, int) else side[0])
    if wanted is not None and wanted != side:
        raise UsageError(f"--image-size {wanted}: {architecture.name} takes {side} x {side} images")
    return side, channels
