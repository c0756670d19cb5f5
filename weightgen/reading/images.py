"""Files of images: opened whatever their format, read as 8 bits a channel."""

from __future__ import annotations

import struct
import warnings
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from weightgen.errors import InputError, printable

SUFFIXES = (
    ".png",
    ".jpg",
    ".jpeg",
    ".jfif",
    ".webp",
    ".bmp",
    ".tif",
    ".tiff",
    ".gif",
    ".ppm",
    ".pgm",
    ".avif",
)
FAILURES = (
    OSError,
    MemoryError,
    SyntaxError,
    ValueError,
    EOFError,
    KeyError,
    IndexError,
    TypeError,
    OverflowError,
    struct.error,
    zlib.error,
)
"""What Pillow lets through of broken files."""
MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def open_image(file: Path, windowed: bool = False) -> Any:
    """Open and decode an image, the first of its `info["frames"]`; raises InputError where it cannot be.

    `windowed`: values of more than 8 bits are spread from the darkest to the lightest that is there, which then stand
    in `info["window"]`; else from none to all light.
    """
    with file.open("rb") as stream:
        return decode_image(stream, printable(str(file)), windowed)


def decode_image(stream: BinaryIO, shown: str, windowed: bool = False) -> Any:
    """Decode an image from an open file, as `open_image` does; `shown` is how errors name it."""
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # on chunks that are odd, and harmless
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image: Any = Image.open(stream)
            frames = getattr(image, "n_frames", 1)  # before the first is decoded, which may close the file
            image.load()
            image = plain(image, windowed)
    except UnidentifiedImageError:
        raise InputError(f"{shown}: is no image that can be read") from None
    except NoLight as error:
        raise InputError(f"{shown}: {error}") from error
    except FAILURES as error:
        raise InputError(f"{shown}: cannot be read ({printable(str(error) or type(error).__name__)})") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(f"{shown}: cannot be read ({printable(str(error))})") from error
    image.info["frames"] = frames
    return image


class NoLight(ValueError):
    """Values that cannot be those of a picture."""


def plain(image: Any, windowed: bool = False) -> Any:
    """Return an image of 8 bits a channel, turned the right way up; raises NoLight for values that are no light."""
    from PIL import Image, ImageOps

    if image.mode.startswith(("I", "F")):  # 16 and 32 bits, which `convert` would clip at 255
        wide = np.asarray(image, dtype=np.float64)
        if not np.isfinite(wide).all() or (not windowed and wide.min(initial=0) < 0):
            raise NoLight("has values below zero or not finite. Scale them to 8 bits first.")
        low, top = 0.0, {"I;16": 65535.0}.get(image.mode.rstrip("BLN"), max(float(wide.max(initial=1)), 1.0))
        info = dict(image.info)
        if windowed:
            low, top = (float(wide.min()), float(wide.max())) if wide.size else (0.0, 1.0)
            low, top = (low, top) if low < top else (low, low + 1.0)
            info["window"] = (low, top)
        image = Image.fromarray(np.rint((wide - low) / (top - low) * 255).clip(0, 255).astype(np.uint8))
        image.info.update(info)
    turned: Any = ImageOps.exif_transpose(image)
    return turned


def channels_of(image: Any) -> int:
    """Return how many channels an image really has: 1, 3, or 4 where some pixel is transparent."""
    if image.has_transparency_data and image.convert("RGBA").getchannel("A").getextrema()[0] < 255:
        return 4
    return 1 if image.mode in ("1", "L", "LA", "I;16") else 3
