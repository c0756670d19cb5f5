"""The bodies of a mesh: connected parts of its surface, each turned so that its own outside is outside."""

from __future__ import annotations

import numpy as np

from weightgen.inr.signals.triangles import Surface


def bodies_of(faces: np.ndarray) -> np.ndarray:
    """Return the number of the body that each face (F, 3) belongs to, (F,): faces that share an edge share a body."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    edges = np.sort(faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    _, which = np.unique(edges, axis=0, return_inverse=True)
    owners, nodes = np.repeat(np.arange(len(faces)), 3), len(faces) + which.reshape(-1)
    size = int(nodes.max()) + 1
    graph = coo_matrix((np.ones(len(nodes), dtype=np.int8), (owners, nodes)), shape=(size, size))
    _, labels = connected_components(graph, directed=False)
    return np.unique(labels[: len(faces)], return_inverse=True)[1].reshape(-1)


def volumes_of(triangles: np.ndarray, bodies: np.ndarray) -> np.ndarray:
    """Return the signed volume of each body of closed triangles (F, 3, 3), negative where its normals point inwards."""
    firsts = np.zeros((bodies.max() + 1, 3))
    firsts[bodies[::-1]] = triangles[::-1, 0]  # any point of a body: nearer to it, sums cancel less
    corners = triangles - firsts[bodies][:, None]
    return np.bincount(bodies, np.einsum("fx,fx->f", corners[:, 0], np.cross(corners[:, 1], corners[:, 2]))) / 6


def turned(triangles: np.ndarray, bodies: np.ndarray, volumes: np.ndarray) -> np.ndarray:
    """Return the triangles with the bodies turned that lie apart from others and disagree with them about their side.

    Most of the volume says which side is outside. A body that disagrees is a cavity where it lies within the others,
    and keeps its side; elsewhere it is a solid whose normals point inwards.
    """
    side = np.sign(volumes.sum()) or 1.0
    odd = np.flatnonzero(volumes * side < 0)
    if not len(odd):
        return triangles
    agreeing = ~np.isin(bodies, odd)
    if not agreeing.any():
        return triangles
    first = np.array([triangles[np.flatnonzero(bodies == body)[0], 0] for body in odd])
    within = np.abs(Surface(triangles[agreeing]).windings(first)) > 0.5
    solid = np.isin(bodies, odd[~within])
    found = triangles.copy()
    found[solid] = found[solid][:, ::-1]
    return found
