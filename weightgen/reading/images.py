"""Files of images: opened whatever their format, read as 8 bits a channel."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from weightgen.errors import InputError, printable

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm", ".pgm")
MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def open_image(file: Path) -> Any:
    """Open and decode an image, the first of its `info["frames"]`; raises InputError where it cannot be."""
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings(), file.open("rb") as stream:
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image: Any = Image.open(stream)
            frames = getattr(image, "n_frames", 1)  # before the first is decoded, which may close the file
            image.load()
    except UnidentifiedImageError:
        raise InputError(f"{printable(str(file))}: is no image that can be read") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(f"{printable(str(file))}: cannot be read ({printable(str(error))})") from error
    try:
        image = plain(image)
    except ValueError as error:
        raise InputError(f"{printable(str(file))}: {error}") from error
    image.info["frames"] = frames
    return image


def plain(image: Any) -> Any:
    """Return an image of 8 bits a channel, turned the right way up; raises ValueError for values that are no light."""
    from PIL import Image, ImageOps

    if image.mode.startswith(("I", "F")):  # 16 and 32 bits, which `convert` would clip at 255
        wide = np.asarray(image, dtype=np.float64)
        if not (np.isfinite(wide).all() and wide.min(initial=0) >= 0):
            raise ValueError("has values below zero or not finite. Scale them to 8 bits first.")
        top = {"I;16": 65535.0}.get(image.mode.rstrip("BLN"), max(float(wide.max(initial=1)), 1.0))
        image = Image.fromarray(np.rint(wide / top * 255).clip(0, 255).astype(np.uint8))
    return ImageOps.exif_transpose(image)


def channels_of(image: Any) -> int:
    """Return how many channels an image really has: 1, 3, or 4 where some pixel is transparent."""
    if image.has_transparency_data and image.convert("RGBA").getchannel("A").getextrema()[0] < 255:
        return 4
    return 1 if image.mode in ("1", "L", "LA", "I;16") else 3
