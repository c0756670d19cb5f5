"""A scene of two balls in the nerf-synthetic layout, ray-traced pixel by pixel, for the tests of views."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
from PIL import Image

from weightgen.inr.signals import make_kind
from weightgen.inr.signals.views import Views

ANGLE = 0.8
BALLS = (((0.0, 0.0, 0.0), 0.8, (230, 60, 40)), ((0.6, 0.7, 0.2), 0.4, (40, 80, 220)))  # centre, radius, colour


def kind(**conventions: object) -> Views:
    found = make_kind("views", {"samples": 24, **conventions})
    assert isinstance(found, Views)
    return found


def looking_at_the_origin(azimuth: float, elevation: float, distance: float = 4) -> np.ndarray:
    """Return a camera's pose (4, 4), to world, z upwards."""
    back = np.array(
        [math.cos(azimuth) * math.cos(elevation), math.sin(azimuth) * math.cos(elevation), math.sin(elevation)]
    )
    right = np.cross([0, 0, 1], back)
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, :4] = np.stack([right, np.cross(back, right), back, back * distance], 1)
    return pose


def traced(pose: np.ndarray, height: int, width: int, angle: float = ANGLE) -> np.ndarray:
    """Return what a camera sees of the balls, (height, width, 4) bytes: pixel by pixel, not as the package does it."""
    image = np.zeros((height, width, 4), np.uint8)
    focal = width / 2 / math.tan(angle / 2)
    for row in range(height):
        for column in range(width):
            ray = pose[:3, :3] @ np.array([column + 0.5 - width / 2, height / 2 - row - 0.5, -focal])
            ray /= np.linalg.norm(ray)
            nearest = math.inf
            for centre, radius, colour in BALLS:
                offset = pose[:3, 3] - np.array(centre)
                along = offset @ ray
                inside = along**2 - offset @ offset + radius**2
                if inside > 0 and -along - math.sqrt(inside) < nearest:
                    nearest = -along - math.sqrt(inside)
                    image[row, column] = (*colour, 255)
    return image


def write_scene(
    folder: Path, poses: list[np.ndarray], name: str = "transforms.json", height: int = 10, width: int = 12
) -> Path:
    part = name.removesuffix(".json").rpartition("_")[2]
    (folder / part).mkdir(parents=True, exist_ok=True)
    frames = []
    for i, pose in enumerate(poses):
        Image.fromarray(traced(pose, height, width)).save(folder / part / f"r_{i}.png")
        frames.append({"file_path": f"./{part}/r_{i}", "transform_matrix": pose.tolist()})
    (folder / name).write_text(json.dumps({"camera_angle_x": ANGLE, "frames": frames}))
    return folder


def around(count: int, elevation: float = 0.4) -> list[np.ndarray]:
    return [looking_at_the_origin(2 * math.pi * i / count, elevation) for i in range(count)]
