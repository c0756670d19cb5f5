"""Reading posed images in the layout of nerf-synthetic: a folder with transforms.json, or with one for each split."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from weightgen.errors import InputError, printable
from weightgen.inr.signals.files import find_files
from weightgen.inr.signals.intrinsics import DISTORTION, EQUAL, LENS, field_of_view, json_number
from weightgen.reading.images import SUFFIXES, open_image
from weightgen.reading.json_files import read_json

TRAIN = ("transforms_train.json", "transforms.json")
TEST = "transforms_test.json"
MAX_BYTES = 1 << 31  # of a scene's images in memory
EVERY = 8  # of the views is held out where there is no file of test views


@dataclass(frozen=True)
class Posed:
    """Images of one size with their cameras."""

    images: Tensor
    """(V, height, width, 3) bytes, on the background."""
    poses: Tensor
    """(V, 4, 4), camera to world."""
    angle: float
    """Horizontal field of view in radians."""

    def of(self, which: list[int]) -> Posed:
        """Return some of the views."""
        return Posed(self.images[which], self.poses[which], self.angle)


@dataclass(frozen=True)
class Scene:
    """Views to learn from, and others to judge by."""

    learned: Posed
    held_out: Posed


def find_scenes(data: str) -> list[Path]:
    """Return the transforms file of each scene of a folder, zip or of itself; raises InputError where there is none."""
    what = f"scenes with poses ({' or '.join(TRAIN)})"
    found: dict[Path, Path] = {}
    for file in find_files(data, (".json",), what, beside=SUFFIXES):
        if file.name in TRAIN and (file.parent not in found or file.name == TRAIN[0]):
            found[file.parent] = file
    if not found:
        raise InputError(f"{printable(data)}: expected {what}, found other .json files only")
    return list(found.values())


def read_scene(file: Path, background: str, downscale: int, views: int | None = None) -> Scene:
    """Return a scene, to be learned from all views that are not held out or from so many, equally spaced among them.

    Raises InputError naming the file and the frame that is wrong.
    """
    posed = read_posed(file, background, downscale)
    count = len(posed.images)
    if file.with_name(TEST).exists():
        learned, held_out = list(range(count)), read_posed(file.with_name(TEST), background, downscale)
    elif count > 1:
        learned, held_out = [i for i in range(count) if i % EVERY], posed.of(list(range(0, count, EVERY)))
    else:
        raise InputError(f"{printable(str(file))}: has 1 frame, expected 2 or more, or a {TEST}: one is to judge by")
    if views is not None:
        if views > len(learned):
            raise InputError(
                f"{printable(str(file))}: has {len(learned)} views to learn from, expected {views} or more"
            )
        learned = [learned[i * len(learned) // views] for i in range(views)]
    return Scene(posed.of(learned), held_out)


def read_cameras(file: Path) -> tuple[float, list[tuple[Path, np.ndarray]]]:
    """Return a transforms file's horizontal field of view, and each frame's image file and pose.

    Raises InputError where the cameras are not one centred pinhole.
    """
    shown, values = printable(str(file)), read_json(file)
    frames = values.get("frames")
    if not isinstance(frames, list) or not frames:
        raise InputError(f"{shown}: expected a list of frames with poses, found {_short(values, 'frames')}")
    found = [_frame(file, i, frame) for i, frame in enumerate(frames)]
    angles = [_angle(values, frame, f"{shown}: frame {i}", shown) for i, frame in enumerate(frames)]
    for i, angle in enumerate(angles):
        if not math.isclose(angle, angles[0], rel_tol=EQUAL):
            raise InputError(
                f"{shown}: frame {i} has an angle of {angle:.4g}, frame 0 one of {angles[0]:.4g}.\n"
                "Lenses that differ by frame are not modelled. Keep the frames of one lens."
            )
    return angles[0], found


def _angle(values: Mapping[str, Any], frame: Mapping[str, Any], where: str, shown: str) -> float:
    """Return what a frame's camera sees from left to right; its own entries go before the file's."""
    own = {word: frame[word] for word in (*LENS, *DISTORTION) if frame.get(word) is not None}
    return field_of_view({**values, **own}, where if own else shown)


def _frame(file: Path, number: int, frame: Any) -> tuple[Path, np.ndarray]:
    where = f"{printable(str(file))}: frame {number}"
    frame = frame if isinstance(frame, dict) else {}
    rows = frame.get("transform_matrix")
    pose = np.full((4, 4), np.nan)
    if isinstance(rows, list) and [len(r) if isinstance(r, list) else 0 for r in rows] == [4] * 4:
        pose = np.array([[json_number(n) for n in row] for row in rows])
    if not np.isfinite(pose).all():
        raise InputError(
            f"{where}: expected a transform_matrix of 4 x 4 numbers, found {_short(frame, 'transform_matrix')}"
        )
    path = frame.get("file_path")
    if not isinstance(path, str) or not path:
        raise InputError(f"{where}: expected the file_path of an image, found {_short(frame, 'file_path')}")
    inside = os.path.normpath(path)
    if os.path.isabs(inside) or inside.split(os.sep)[0] == os.pardir:
        raise InputError(f"{where}: '{printable(path)}' leaves the scene's folder. Nothing outside it is read.")
    bare = os.path.splitext(inside)[1].lower() not in SUFFIXES  # nerf-synthetic leaves the suffix out
    image = file.parent / (inside + ".png" if bare else inside)
    if not os.path.isfile(image):  # which, unlike Path's, answers for names that cannot be
        raise InputError(f"{where}: its image {printable(str(image))} is missing")
    return image, pose


def read_posed(file: Path, background: str, downscale: int) -> Posed:
    """Return the images of a transforms file, on a background, with sides divided by `downscale`."""
    angle, frames = read_cameras(file)
    images: list[np.ndarray] = []
    for path, _ in frames:
        images.append(_on(open_image(path), background, downscale))
        if len(frames) * images[0].size > MAX_BYTES:
            raise InputError(
                f"{printable(str(file))}: its {len(frames)} images have more than {MAX_BYTES} bytes.\n"
                "Make them smaller: --signal-args downscale=2 (or more)"
            )
        if images[-1].shape != images[0].shape:
            sizes = [f"{i.shape[1]} x {i.shape[0]}" for i in (images[0], images[-1])]
            raise InputError(
                f"{printable(str(path))}: is {sizes[1]} pixels, expected {sizes[0]} as {printable(frames[0][0].name)}"
            )
    poses = torch.from_numpy(np.stack([pose for _, pose in frames])).float()
    return Posed(torch.from_numpy(np.stack(images)), poses, angle)


def _on(image: Any, background: str, downscale: int) -> np.ndarray:
    """Return an image as (height, width, 3) bytes."""
    from PIL import Image

    behind = Image.new("RGBA", image.size, background)
    found = Image.alpha_composite(behind, image.convert("RGBA")).convert("RGB")
    if downscale > 1:
        sides = (max(1, found.width // downscale), max(1, found.height // downscale))
        found = found.resize(sides, Image.Resampling.BOX)
    return np.array(found)


def _short(values: dict[str, Any], word: str) -> str:
    return printable(repr(values[word]), 60) if word in values else "none"
