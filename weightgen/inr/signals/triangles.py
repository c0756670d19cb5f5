"""Exact distances to a triangle mesh, and winding numbers that say what is inside, by a tree over its triangles."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

LEAF = 32  # triangles that are looked at together
FAR = 2.0  # radii of a cluster beyond which it is seen as one dipole
POINTS = 1 << 13  # at a time, so that a leaf's (points, triangles) arrays stay small
TINY = 1e-300


@dataclass(frozen=True)
class Node:
    """Triangles (F, 3, 3) that lie together; all of it in the mesh's coordinates."""

    triangles: np.ndarray
    low: np.ndarray
    high: np.ndarray
    centre: np.ndarray
    """Weighted by area."""
    radius: float
    """Of the sphere around the centre that holds all."""
    area: np.ndarray
    """Sum of the triangles' area vectors, (3,)."""
    children: tuple[Node, ...]


class Surface:
    """Triangles (F, 3, 3) that can be asked for distances and winding numbers of points (N, 3)."""

    def __init__(self, triangles: np.ndarray) -> None:
        self.root = _grown(np.asarray(triangles, dtype=np.float64))

    def distances(self, points: np.ndarray, limit: float = math.inf) -> np.ndarray:
        """Return each point's distance to the nearest triangle, (N,), exact up to rounding, at most `limit`."""
        from scipy.spatial import cKDTree

        points = np.asarray(points, dtype=np.float64)
        # A corner is on the surface: no triangle farther than the nearest one needs to be looked at.
        nearest, _ = cKDTree(self.root.triangles.reshape(-1, 3)).query(points, distance_upper_bound=limit)
        best = np.square(np.minimum(nearest, limit))
        _approach(self.root, points, best, np.arange(len(points)))
        return np.asarray(np.sqrt(best))

    def windings(self, points: np.ndarray) -> np.ndarray:
        """Return each point's generalised winding number, (N,) (Jacobson et al. 2013).

        Of a closed surface it is 0 outside and 1 inside (-1 where its normals point inwards). Far clusters count as a
        dipole (Barill et al. 2018), which changes it by a few hundredths.
        """
        points = np.asarray(points, dtype=np.float64)
        total = np.zeros(len(points))
        _encircle(self.root, points, total, np.arange(len(points)))
        return total


def _grown(triangles: np.ndarray) -> Node:
    """Return a tree: halves by the median along the longest side, until a leaf's size."""
    middles = triangles.mean(1)
    areas = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]) / 2
    weights = np.linalg.norm(areas, axis=1) + TINY
    centre = weights @ middles / weights.sum()
    corners = triangles.reshape(-1, 3)
    radius = float(np.linalg.norm(corners - centre, axis=1).max())
    children: tuple[Node, ...] = ()
    if len(triangles) > LEAF:
        half = len(triangles) // 2
        order = np.argpartition(middles[:, np.ptp(middles, axis=0).argmax()], half)
        children = (_grown(triangles[order[:half]]), _grown(triangles[order[half:]]))
    return Node(triangles, corners.min(0), corners.max(0), centre, radius, areas.sum(0), children)


def _approach(node: Node, points: np.ndarray, best: np.ndarray, rows: np.ndarray) -> None:
    """Lower the squared distances `best` of the points of `rows` to those of the node's triangles."""
    here = points[rows]
    gaps = np.maximum(np.maximum(node.low - here, here - node.high), 0)
    rows = rows[np.square(gaps).sum(1) < best[rows]]
    if not len(rows):
        return
    for child in node.children:
        _approach(child, points, best, rows)
    if not node.children:
        for part in _parts(rows):
            # Relative to the leaf, where differences of squares lose little.
            found = squared_distances(points[part] - node.centre, node.triangles - node.centre).min(1)
            best[part] = np.minimum(best[part], found)


def _encircle(node: Node, points: np.ndarray, total: np.ndarray, rows: np.ndarray) -> None:
    """Add the node's triangles to the winding numbers `total` of the points of `rows`."""
    offsets = node.centre - points[rows]
    distances = np.linalg.norm(offsets, axis=1)
    far = distances > FAR * node.radius
    total[rows[far]] += offsets[far] @ node.area / (4 * math.pi * distances[far] ** 3)
    rows = rows[~far]
    if not len(rows):
        return
    for child in node.children:
        _encircle(child, points, total, rows)
    if not node.children:
        for part in _parts(rows):
            angles = solid_angles(points[part] - node.centre, node.triangles - node.centre)
            total[part] += angles.sum(1) / (4 * math.pi)


def _parts(rows: np.ndarray) -> list[np.ndarray]:
    return [rows[first : first + POINTS] for first in range(0, len(rows), POINTS)]


def squared_distances(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Return squared distances of points (P, 3) to triangles (F, 3, 3), (P, F).

    A triangle's nearest point lies in its plane where the point is above the inside, else on one of its edges.
    """
    square = np.square(points).sum(1)[:, None]
    normals = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    found = np.full((len(points), len(triangles)), np.inf)
    above = np.broadcast_to(np.square(normals).sum(1) > 0, found.shape)
    for i in range(3):
        start, edge = triangles[:, i], triangles[:, (i + 1) % 3] - triangles[:, i]
        length = np.square(edge).sum(1)
        dot = points @ edge.T - (start * edge).sum(1)
        along = np.clip(dot / np.maximum(length, TINY), 0, 1)
        to_start = square - 2 * points @ start.T + np.square(start).sum(1)
        found = np.minimum(found, to_start - along * (2 * dot - along * length))
        inwards = np.cross(normals, edge)
        above = above & (points @ inwards.T >= (start * inwards).sum(1))
    plane = np.square(points @ normals.T - (triangles[:, 0] * normals).sum(1))
    plane /= np.maximum(np.square(normals).sum(1), TINY)
    return np.asarray(np.where(above, plane, np.maximum(found, 0)))


def solid_angles(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Return the signed solid angles (P, F) of triangles seen from points (van Oosterom and Strackee 1983, eq. 8)."""
    square = np.square(points).sum(1)[:, None]
    corners = [triangles[:, i] for i in range(3)]
    a, b, c = (np.sqrt(np.maximum(square - 2 * points @ v.T + np.square(v).sum(1), 0)) for v in corners)
    ab, bc, ca = (
        square - points @ (v + w).T + (v * w).sum(1) for v, w in zip(corners, [*corners[1:], corners[0]], strict=True)
    )
    normals = np.cross(corners[1] - corners[0], corners[2] - corners[0])
    volume = (corners[0] * normals).sum(1) - points @ normals.T
    return np.asarray(2 * np.arctan2(volume, a * b * c + ab * c + bc * a + ca * b))
