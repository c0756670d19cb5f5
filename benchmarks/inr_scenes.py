"""Scenes to learn views from: meshes seen from all sides, in the nerf-synthetic layout.

    python benchmarks/inr_scenes.py pybullet_data/random_urdfs scenes --objects 0-119 300-319

MESHES holds NNN/NNN.obj and NNN/NNN.urdf, as PyPI's pybullet has them (zlib licence); the colour of an object is that
of its URDF, its light comes from above. Needs `pip install embreex` to cast rays. The first range becomes OUT/train,
the second OUT/test; every object has 20 views to learn from and 5 others to be judged by.
"""

from __future__ import annotations

import argparse
import json
import math
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from PIL import Image

ANGLE, DISTANCE, RADIUS = 0.6911, 4.0, 1.0  # of the camera, as nerf-synthetic's; of the ball that holds an object
VIEWS = {"train": 20, "test": 5}
LIGHT = np.array([0.3, 0.2, 0.93])
FINER = 3  # rays along each side of a pixel


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("meshes", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--objects", nargs=2, metavar="FIRST-LAST", default=["0-119", "300-319"])
    parser.add_argument("--side", type=int, default=32, help="of an image, in pixels")
    words = parser.parse_args()
    for split, told in zip(("train", "test"), words.objects, strict=True):
        first, last = map(int, told.split("-"))
        for number in range(first, last + 1):
            folder = words.meshes / f"{number:03d}"
            write_scene(folder, words.out / split / folder.name, words.side, np.random.default_rng(number))


def write_scene(source: Path, folder: Path, side: int, generator: np.random.Generator) -> None:
    """Write an object's views and their cameras."""
    mesh: Any = trimesh.load(source / f"{source.name}.obj", force="mesh")
    mesh.apply_translation(-mesh.bounding_sphere.primitive.center)
    mesh.apply_scale(RADIUS / np.linalg.norm(mesh.vertices, axis=1).max())
    told = ElementTree.parse(source / f"{source.name}.urdf").find(".//visual/material/color")
    assert told is not None
    colour = np.array([float(v) for v in told.attrib["rgba"].split()[:3]])
    for part, count in VIEWS.items():
        frames = []
        (folder / part).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            pose = looking_at_the_origin(generator.uniform(0, 2 * math.pi), generator.uniform(-0.2, 1.2))
            Image.fromarray(seen(mesh, colour, pose, side)).save(folder / part / f"r_{i}.png")
            frames.append({"file_path": f"./{part}/r_{i}", "transform_matrix": pose.tolist()})
        cameras = {"camera_angle_x": ANGLE, "frames": frames}
        (folder / f"transforms_{part}.json").write_text(json.dumps(cameras, indent=1) + "\n")


def looking_at_the_origin(azimuth: float, elevation: float) -> np.ndarray:
    """Return a camera's pose (4, 4), to world, z upwards."""
    level = math.cos(elevation)
    back = np.array([math.cos(azimuth) * level, math.sin(azimuth) * level, math.sin(elevation)])
    right = np.array([-math.sin(azimuth), math.cos(azimuth), 0.0])
    pose = np.eye(4)
    pose[:3] = np.stack([right, np.cross(back, right), back, back * DISTANCE], 1)
    return pose


def seen(mesh: Any, colour: np.ndarray, pose: np.ndarray, side: int) -> np.ndarray:
    """Return an image (side, side, 4), bytes: what light from above leaves of a colour, clear where nothing is."""
    fine = side * FINER
    along = (np.arange(fine) + 0.5 - fine / 2) * 2 * math.tan(ANGLE / 2) / fine
    across, up = np.meshgrid(along, -along)
    rays = np.stack([across, up, -np.ones_like(up)], -1).reshape(-1, 3) @ pose[:3, :3].T
    hit = mesh.ray.intersects_first(np.broadcast_to(pose[:3, 3], rays.shape), rays)
    normals = mesh.face_normals[hit]
    normals = normals * -np.sign((normals * rays).sum(1, keepdims=True))  # towards the camera
    shaded = (0.35 + 0.65 * np.clip(normals @ LIGHT, 0, 1))[:, None] * colour
    alpha = (hit >= 0).astype(np.float64)
    cells = np.concatenate([shaded * alpha[:, None], alpha[:, None]], 1).reshape(side, FINER, side, FINER, 4)
    image = cells.mean((1, 3))
    image[..., :3] /= image[..., 3:].clip(1e-9)
    return np.rint(image.clip(0, 1) * 255).astype(np.uint8)


if __name__ == "__main__":
    main()
