"""Reading closed triangle meshes, and points around them with signed distances."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from weightgen.errors import InputError, printable
from weightgen.inr.signals.bodies import bodies_of, turned, volumes_of
from weightgen.inr.signals.triangles import Surface

SUFFIXES = (".obj", ".ply", ".stl", ".off")
MAX_BYTES = 1 << 28  # text of some million triangles; the parsers need ten times as much memory
MAX_TRIANGLES = 1 << 21
LARGEST = 1e30  # of a coordinate: products of three must not overflow
FLAT = 1e-9  # of the longest side's cube: less volume is rounding
NOISE = (
    0.05,
    0.0158,
)  # deviations around the surface, as DeepSDF has them (Park et al. 2019: variances 0.0025, 0.00025)


@dataclass(frozen=True)
class Cloud:
    """Points of the cube [-1, 1]^3 around a shape."""

    points: np.ndarray
    """(N, 3): half near the surface, half anywhere."""
    values: np.ndarray
    """(N,): distances to the surface, negative inside, at most the truncation; or 1 inside and 0 outside."""
    judged: np.ndarray
    """(N, 3): others, anywhere."""
    inside: np.ndarray
    """(N,): whether they are inside."""


def read_triangles(file: Path) -> np.ndarray:
    """Return the triangles (F, 3, 3) of a closed mesh; raises InputError for what is none."""
    vertices, faces = _parsed(file)
    shown = printable(str(file))
    if not len(faces):
        raise InputError(f"{shown}: holds no triangles, expected a closed mesh")
    if len(faces) > MAX_TRIANGLES:
        raise InputError(f"{shown}: has {len(faces)} triangles, expected at most {MAX_TRIANGLES}. Simplify it first.")
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise InputError(f"{shown}: has triangles of vertices that it does not have ({len(vertices)} of them)")
    if not (np.abs(vertices) < LARGEST).all():  # NaN as well
        raise InputError(f"{shown}: has vertices that are not finite, or beyond {LARGEST:g}")
    # Files that store texture or normals have a vertex once for each of them.
    vertices, same = np.unique(vertices + 0.0, axis=0, return_inverse=True)
    faces = same.reshape(-1)[faces]
    faces = faces[(faces != np.roll(faces, 1, axis=1)).all(1)]
    edges = faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    _, uses = np.unique(np.sort(edges, axis=1), axis=0, return_counts=True)
    bodies = bodies_of(faces) if len(faces) else np.zeros(0, dtype=np.int64)
    if (uses != 2).any():
        open_edges = uses[np.unique(np.sort(edges, axis=1), axis=0, return_inverse=True)[1].reshape(-1)] != 2
        torn, count = len(np.unique(np.repeat(bodies, 3)[open_edges])), int(bodies.max()) + 1
        where = f", in {torn} of its {count} bodies" if count > 1 else ""
        raise InputError(
            f"{shown}: is not closed: {int((uses != 2).sum())} of its {len(uses)} edges do not join two triangles"
            f"{where}.\n"
            "What is inside is defined for watertight meshes only. Repair it first."
        )
    if len(np.unique(edges, axis=0)) < len(edges):
        raise InputError(f"{shown}: its triangles disagree about which side is outside. Repair it first.")
    side = np.ptp(vertices[faces].reshape(-1, 3), axis=0).max(initial=0) if len(faces) else 0.0
    triangles = vertices[faces] / (side or 1.0)
    volumes = volumes_of(triangles, bodies) if side else np.zeros(1)
    if (np.abs(volumes) < FLAT).all():
        raise InputError(f"{shown}: encloses no volume, expected a solid shape")
    return turned(np.asarray(vertices[faces]), bodies, volumes)


def _parsed(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return vertices (V, 3) and faces (F, 3) as a file has them."""
    import trimesh

    shown = printable(str(file))
    if file.stat().st_size > MAX_BYTES:
        raise InputError(f"{shown}: has more than {MAX_BYTES} bytes. Simplify it first.")
    try:
        # From memory, so that a mesh cannot name materials and textures elsewhere on the disk.
        raw = io.BytesIO(file.read_bytes())
        found: Any = trimesh.load(raw, file_type=file.suffix[1:].lower(), force="mesh", process=False)
        faces = np.asarray(getattr(found, "faces", ()), dtype=np.int64).reshape(-1, 3)
        return np.asarray(found.vertices, dtype=np.float64).reshape(-1, 3), faces
    except Exception as error:  # the parsers raise whatever the broken text provokes in them
        reason = f"{type(error).__name__}: {printable(str(error))}"
        raise InputError(f"{shown}: is no mesh that can be read ({reason})") from error


def sample(triangles: np.ndarray, extent: float, count: int, truncation: float | None, seed: int) -> Cloud:
    """Return points around triangles, centred and scaled: the longest side of their box becomes 2 * extent.

    `truncation`: of distances; None for occupancy. The seed decides all draws, whatever other meshes there are.
    """
    generator = np.random.default_rng(seed)
    low, high = triangles.min((0, 1)), triangles.max((0, 1))
    triangles = (triangles - (low + high) / 2) * (2 * extent / (high - low).max())
    near = _near(triangles, count // 2, generator)
    points = np.concatenate([near, generator.uniform(-1, 1, (count - len(near), 3))]).astype(np.float32)
    judged = generator.uniform(-1, 1, (count, 3)).astype(np.float32)
    surface = Surface(triangles)
    inside = np.abs(surface.windings(points)) > 0.5  # its normals may all point inwards
    values = inside.astype(np.float32)
    if truncation is not None:
        values = (surface.distances(points, truncation) * np.where(inside, -1, 1)).astype(np.float32)
    return Cloud(points, values, judged, np.abs(surface.windings(judged)) > 0.5)


def _near(triangles: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
    """Return points near the surface (N, 3): uniform on it, moved by noise of two sizes, kept within the cube."""
    areas = np.linalg.norm(_areas(triangles), axis=1)
    chosen = triangles[generator.choice(len(triangles), count, p=areas / areas.sum())]
    weights = generator.dirichlet((1, 1, 1), count)  # uniform in a triangle
    noise = np.where(np.arange(count) % 2, NOISE[0], NOISE[1])[:, None] * generator.standard_normal((count, 3))
    return np.asarray(np.clip(np.einsum("nc,ncx->nx", weights, chosen) + noise, -1, 1))


def _areas(triangles: np.ndarray) -> np.ndarray:
    """Return area vectors (F, 3)."""
    return np.asarray(np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]) / 2)
