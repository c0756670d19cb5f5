"""What images a model takes."""

from __future__ import annotations

from weightgen.errors import UsageError
from weightgen.models.architecture import Architecture


def input_size(architecture: Architecture, wanted: int | None = None) -> tuple[int, int]:
    """Return the side in pixels and the number of channels of the images that a model takes.

    `wanted` chooses the side for models that take any, as convolutional ones do.
    """
    side, channels = architecture.adapter.images(architecture, wanted)
    side = int(side if isinstance(side, int) else side[0])
    if wanted is not None and wanted != side:
        raise UsageError(f"--image-size {wanted}: {architecture.name} takes {side} x {side} images")
    return side, channels
