"""Images: pixels at the cells of a grid, in [0, 1]."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from weightgen.errors import InputError, printable
from weightgen.inr.config import Strict
from weightgen.inr.derivatives import Batch
from weightgen.inr.signals.files import find_files, names_of
from weightgen.inr.signals.grids import Coordinates
from weightgen.inr.signals.kind import Evaluate, Kind, Signal, Suited
from weightgen.reading.images import MODES, SUFFIXES, channels_of, open_image, plain
from weightgen.reading.tables import from_hub

CROP = 178  # of faces, in learnit's experiments
ROWS = 256  # of a picture that are written at a time
OPAQUE = (".jpg", ".jpeg", ".jfif", ".ppm", ".pgm")  # formats without transparency
COLOURS = {1: "grey", 3: "colour", 4: "colour and transparency"}


class ImageConfig(Strict):
    """Conventions of images: values are in [0, 1], colours multiplied by alpha where there is transparency."""

    channels: Literal[1, 3, 4] = 3
    coordinates: Coordinates = Coordinates()
    crop: int | None = Field(CROP, ge=1)
    """Side in pixels of the square that is learned from, at random places, and judged, in the middle; None: all.
    Where nobody says, that of the usual picture of a set if that is smaller. Smaller pictures are enlarged to it."""
    augment: Literal["none", "crop", "crop-flip"] = "crop-flip"


class Images(Kind):
    """Grey (1), colour (3) or colour with alpha (4 channels, colours multiplied by alpha)."""

    name = "image"
    Config = ImageConfig
    # Wide and shallow, preactivations twice a SIREN's: random features that two steps can combine.
    suited = Suited({"hidden": 440, "hidden_layers": 2, "first_frequency": 60, "gain": 2, "offset": 0.5}, 0.3)
    inputs, dimensions = 2, 2
    read_by = ("channels",)

    def __init__(self, config: ImageConfig) -> None:
        super().__init__(config)
        self.outputs, self.coordinates, self.crop = config.channels, config.coordinates, config.crop
        self.augment = config.augment
        self.suffixes = tuple(s for s in SUFFIXES if self.outputs != 4 or s not in OPAQUE)

    @classmethod
    def conventions(cls, data: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        if {"channels", "crop"} <= arguments.keys():
            return arguments
        found = [(Path(name).name, channels_of(image), min(image.size)) for name, image in pictures(data)]
        crop = min(CROP, int(np.median([side for _, _, side in found])))  # at most half of them are enlarged
        channels = arguments.get("channels") or _shared_channels(data, {n: name for name, n, _ in found})
        return {"crop": crop, **arguments, "channels": channels}

    def load(self, data: str) -> list[Signal]:
        found = {Path(name): self._signal(name, image) for name, image in pictures(data)}
        return [replace(one, name=name) for name, one in zip(names_of(list(found)), found.values(), strict=True)]

    def _signal(self, name: str, image: Any) -> Signal:
        """Return an image as (height, width, channels) bytes."""
        found = channels_of(image)
        if found == 4 and self.outputs != 4:
            raise InputError(
                f"{printable(name)}: has transparency, expected {COLOURS[self.outputs]}.\n"
                "Flatten it onto a background first, or learn a start with --signal-args channels=4."
            )
        if found == 3 and self.outputs == 1:
            raise InputError(f"{printable(name)}: has colours, expected grey. Convert it first.")
        pixels = np.array(image.convert(MODES[self.outputs]))
        if self.outputs == 4:  # what is invisible has no colour
            pixels[..., :3] = np.rint(pixels[..., :3] * (pixels[..., 3:] / 255.0)).astype(np.uint8)
        frames = image.info.get("frames", 1)
        remark = f"has {frames} frames, of which the first is taken" if frames > 1 else None
        return Signal(name, torch.from_numpy(pixels.reshape(*pixels.shape[:2], -1)), remark=remark)

    def count(self, signal: Signal) -> int:
        return int(signal.data.shape[0] * signal.data.shape[1])

    def coverage(self, signal: Signal) -> float:
        height, width = signal.data.shape[:2]
        return 1.0 if self.crop is None else float(min(height, width) / max(height, width))

    def observe(self, signal: Signal, which: Tensor | None = None, generator: torch.Generator | None = None) -> Batch:
        values = signal.data.reshape(-1, self.outputs)
        values = (values if which is None else values[which]).float() / 255
        return {"coordinates": self.coordinates.of(tuple(signal.data.shape[:2]), which), "values": values}

    def augmented(self, signal: Signal, generator: torch.Generator) -> Signal:
        pixels = self._large(signal.data)
        if "crop" in self.augment:
            spare = [n - (self.crop or n) for n in pixels.shape[:2]]
            pixels = self._cut(pixels, [int(torch.randint(n + 1, (), generator=generator)) for n in spare])
        else:
            pixels = self.standard(signal).data
        if "flip" in self.augment and torch.rand((), generator=generator) < 0.5:
            pixels = pixels.flip(1)
        return Signal(signal.name, pixels)

    def standard(self, signal: Signal) -> Signal:
        pixels = self._large(signal.data)
        corner = [(n - (self.crop or n)) // 2 for n in pixels.shape[:2]]
        return Signal(signal.name, self._cut(pixels, corner))

    def _large(self, pixels: Tensor) -> Tensor:
        """Return pixels whose shorter side is at least the crop's."""
        shorter = min(pixels.shape[:2])
        if self.crop is None or shorter >= self.crop:
            return pixels
        sides = [max(self.crop, round(n * self.crop / shorter)) for n in pixels.shape[:2]]
        planes = pixels.permute(2, 0, 1).unsqueeze(0)
        return torch.nn.functional.interpolate(planes, sides, mode="bicubic")[0].permute(1, 2, 0)

    def _cut(self, pixels: Tensor, corner: list[int]) -> Tensor:
        (top, left), (height, width) = corner, (self.crop or n for n in pixels.shape[:2])
        return pixels[top : top + height, left : left + width]

    def itself(self, signal: Signal) -> np.ndarray:
        return np.asarray(signal.data.float() / 255)

    def shape(self, signal: Signal) -> list[int]:
        return list(signal.data.shape[:2])

    def render(self, evaluate: Evaluate, shape: Sequence[int], size: int | None = None) -> np.ndarray:
        """Return (height, width, channels) in [0, 1], clipped; `size` is the longer side."""
        sides = tuple(max(1, round(n * (size or max(shape)) / max(shape))) for n in shape)
        found = self.coordinates.drawn(evaluate, sides)
        return found.clip(0, 1, out=found)

    def save(self, rendered: np.ndarray, scratch: Path, shape: Sequence[int]) -> None:
        from PIL import Image

        pixels = np.empty(rendered.shape, np.uint8)
        for first in range(0, len(rendered), ROWS):
            pixels[first : first + ROWS] = self._bytes(rendered[first : first + ROWS])
        Image.fromarray(pixels[..., 0] if self.outputs == 1 else pixels).save(scratch)

    def _bytes(self, values: np.ndarray) -> np.ndarray:
        """Return pixels as files have them: colours not multiplied by alpha."""
        if self.outputs == 4:
            alpha, colours = values[..., 3:], np.zeros_like(values[..., :3])
            np.divide(values[..., :3], alpha, out=colours, where=alpha > 1 / 510)
            values = np.concatenate([colours.clip(0, 1), alpha], -1)
        return np.asarray(np.rint(values * 255), dtype=np.uint8)


def pictures(data: str) -> Iterator[tuple[str, Any]]:
    """Yield name and picture of every image of a file, folder, zip or dataset (`hf:ORG/NAME[:CONFIG]`).

    Of a dataset these are the training images. Raises InputError, UsageError, NetworkError.
    """
    if not data.startswith("hf:"):
        for file in find_files(data, SUFFIXES, "images"):
            yield str(file), open_image(file)
        return
    import datasets

    tables = from_hub(data, "images", "its folder of images")
    table = tables.get("train", next(iter(tables.values())))
    column = next((n for n, kind in table.features.items() if isinstance(kind, datasets.Image)), None)
    if column is None:
        raise InputError(f"{printable(data)}: expected a column of images, found {', '.join(table.column_names)}")
    for number in range(len(table)):
        try:
            yield f"image-{number}", plain(table[number][column])
        except (OSError, SyntaxError, ValueError) as error:
            raise InputError(f"{printable(data)}: image {number} cannot be read ({printable(str(error))})") from error


def _shared_channels(data: str, found: Mapping[int, str]) -> int:
    """Return the channels that a set's images share, of those `found` in one or other: colour where some are grey.

    Raises InputError where only some have transparency.
    """
    if 4 in found and len(found) > 1:
        other = next(name for n, name in found.items() if n != 4)
        raise InputError(
            f"{printable(data)}: {printable(found[4])} has transparency and {printable(other)} has none.\n"
            "Say which to learn: --signal-args channels=4 (or flatten the images for channels=3)."
        )
    return max(found)
