"""Masks from graphs: exact density, and the properties that give the graphs their names."""

from __future__ import annotations

import networkx as nx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from weightgen.errors import UsageError
from weightgen.pruning.graphs import Graph, graph_mask


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(1, 40),
    columns=st.integers(1, 40),
    density=st.floats(0.01, 1),
    kind=st.sampled_from(["small-world", "scale-free"]),
    seed=st.integers(0, 9),
)
def test_density_is_exact(rows: int, columns: int, density: float, kind: Graph, seed: int) -> None:
    density = max(density, 1 / min(rows, columns))
    mask = graph_mask((rows, columns), density, kind, seeded(seed))
    assert mask.shape == (rows, columns)
    assert int(mask.sum()) == round(density * rows * columns)
    assert torch.equal(mask, graph_mask((rows, columns), density, kind, seeded(seed)))


def clustering(mask: torch.Tensor) -> float:
    adjacency = (mask | mask.T).numpy().astype(int)
    graph = nx.from_numpy_array(adjacency)
    graph.remove_edges_from(nx.selfloop_edges(graph))
    return float(nx.average_clustering(graph))


def test_small_worlds_cluster_and_scale_free_graphs_have_hubs() -> None:
    shape, density = (200, 200), 11 / 200
    small = graph_mask(shape, density, "small-world", seeded())
    free = graph_mask(shape, density, "scale-free", seeded())
    chance = torch.rand(shape, generator=seeded()) < density
    assert clustering(small) > 0.4 > 0.2 > max(clustering(free), clustering(chance))
    largest = [int(m.sum(1).max()) for m in (small, free, chance)]
    assert largest[1] > 40 > 25 > max(largest[0], largest[2])
    assert torch.equal(small.diagonal(), torch.ones(200) > 0)


def test_a_ring_without_rewiring_is_a_ring() -> None:
    mask = graph_mask((10, 10), 0.3, "small-world", seeded(), rewired=0.0)
    offsets = (torch.arange(10)[:, None] - torch.arange(10)).abs()
    assert torch.equal(mask, (offsets <= 1) | (offsets == 9))


def test_wider_sides_share_nodes_and_kernels_stay_whole() -> None:
    mask = graph_mask((12, 6), 0.5, "small-world", seeded(), rewired=0.0)
    assert torch.equal(mask[::2], mask[1::2])
    kernels = graph_mask((8, 8, 3, 3), 0.5, "scale-free", seeded())
    assert set(kernels.flatten(2).sum(2).flatten().tolist()) == {0, 9}
    assert int(kernels.sum()) == 9 * 32


def test_graphs_that_cannot_be_are_refused() -> None:
    with pytest.raises(UsageError, match=r"a graph of 10 nodes has one between 0.1 and 1, found 0.05"):
        graph_mask((10, 20), 0.05, "small-world", seeded())
    with pytest.raises(UsageError, match=r"expected the shape of a weight, \(out, in, ...\), found \[10\]"):
        graph_mask((10,), 0.5, "small-world", seeded())
