"""Running a translator over an image of any size, a strip of rows at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from weightgen.diffusion.photos import pixels_of
from weightgen.diffusion.translator import load_translator
from weightgen.errors import UsageError, printable
from weightgen.models.positions import positions_of
from weightgen.models.translator import CONFIG, Translator
from weightgen.reading.images import channels_of
from weightgen.reading.json_files import read_json

PIXELS = 1 << 20  # of a strip: its activations take about 100 bytes a pixel and channel


def open_translator(directory: Path) -> Translator:
    """Read a start for images, onto a GPU where there is one.

    Raises UsageError where it is no such start, InputError where it is broken.
    """
    shown = printable(str(directory))
    if not (directory / CONFIG).is_file():
        raise UsageError(f"{shown}: no start for images here ({CONFIG} is missing). Make one: weightgen generate")
    found = read_json(directory / CONFIG).get("format", "another")
    if found != "weightgen-translator":
        raise UsageError(
            f"{shown}: expected the format weightgen-translator, found {printable(str(found), 40)}.\n"
            "Only networks that turn images into images can be applied: weightgen generate makes them."
        )
    return load_translator(directory).to("cuda" if torch.cuda.is_available() else "cpu")


def edited(translator: Translator, image: Any) -> np.ndarray:
    """Return what a translator makes of a picture of Pillow's, (height, width, 3) bytes, or 4 with its transparency.

    Grey pictures are edited as colour ones.
    """
    alpha = [np.array(image.convert("RGBA"))[..., 3:]] if channels_of(image) == 4 else []
    made = (255 * translated(translator, pixels_of(image))).round().byte().permute(1, 2, 0).numpy()
    return np.concatenate([made, *alpha], axis=-1)


@torch.no_grad()
def translated(translator: Translator, photo: Tensor, most: int = PIXELS) -> Tensor:
    """Return a photo (3, height, width) in [0, 1] after translation, clamped, on the CPU.

    Strips of at most `most` pixels overlap by what the network sees beyond a pixel, so that no seam can be seen.
    """
    device = next(translator.parameters()).device
    height, width = photo.shape[-2:]
    beyond, rows = translator.config.layers, max(1, most // width)  # each layer of 3x3 sees a pixel further
    positions = positions_of(height, width)
    made = torch.empty(photo.shape)
    for first in range(0, height, rows):
        last = min(first + rows, height)
        top, bottom = max(0, first - beyond), min(height, last + beyond)
        strip, places = (whole[None, :, top:bottom].to(device) for whole in (photo, positions))
        made[:, first:last] = translator(strip, places)[0, :, first - top : last - top].clamp(0, 1).cpu()
    return made
