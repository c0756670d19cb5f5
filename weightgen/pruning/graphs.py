"""Masks from graphs: units exchange messages with their neighbours in a small world, or with hubs.

You, Leskovec, He and Xie, "Graph structure of neural networks", ICML 2020, for how a graph becomes a mask; Watts and
Strogatz 1998 and Barabasi and Albert 1999 for the graphs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from weightgen.errors import UsageError

Graph = Literal["small-world", "scale-free"]
REWIRED = 0.1  # of a ring's edges: most of the ring's clusters are left, and no path is long


def graph_mask(
    shape: Sequence[int], density: float, kind: Graph, generator: torch.Generator, rewired: float = REWIRED
) -> Tensor:
    """Return booleans of a weight's shape, (out, in, ...), round(density x out x in) of its kernels kept exactly.

    An undirected graph of n = min(out, in) nodes, each of which reads itself and its neighbours. The units of the wider
    side are shared out among the nodes in order. The graph has as many edges as the density allows; the entries that
    are then missing are put at random places. Kernels stay or go whole.
    `small-world`: a ring of Watts and Strogatz with a share `rewired` of its edges moved; `scale-free`: the growing
    graph of Barabasi and Albert, which has hubs. Raises UsageError for a density below 1 / n, at which nodes read
    nothing but themselves, above 1, or for a weight of fewer than two dimensions.
    """
    if len(shape) < 2:
        raise UsageError(f"graph: expected the shape of a weight, (out, in, ...), found {list(shape)}")
    rows, columns = shape[0], shape[1]
    nodes, least = min(rows, columns), sparsest(shape)
    if not least <= density * (1 + 1e-9) or not density <= 1:
        raise UsageError(f"density: a graph of {nodes} nodes has one between {least:.3g} and 1, found {density:g}")
    if kind == "small-world":
        adjacency = _small_world(nodes, density, rewired, generator)
    else:
        adjacency = _scale_free(nodes, density, generator)
    of_row, of_column = (torch.arange(n) * nodes // n for n in (rows, columns))
    kept = adjacency[of_row][:, of_column]
    missing = round(density * rows * columns) - int(kept.sum())
    places = (kept if missing < 0 else ~kept).flatten().nonzero().flatten()
    drawn = places[torch.randperm(len(places), generator=generator)[: abs(missing)]]
    kept.view(-1)[drawn] = missing > 0
    return kept.view(rows, columns, *[1] * (len(shape) - 2)).expand(*shape).clone()


def sparsest(shape: Sequence[int]) -> float:
    """Return the lowest density of a weight's graph, at which each node reads itself alone."""
    return 1 / min(shape[0], shape[1])


def _small_world(nodes: int, density: float, rewired: float, generator: torch.Generator) -> Tensor:
    import networkx as nx

    neighbours = 2 * math.floor((density * nodes - 1) / 2 + 1e-9)  # on both sides of the ring alike
    return _adjacency(nx.watts_strogatz_graph(nodes, max(0, neighbours), rewired, seed=_seed(generator)))


def _scale_free(nodes: int, density: float, generator: torch.Generator) -> Tensor:
    import networkx as nx

    # m edges for each node after the first m + 1, a star: m (n - m) in all, and each is read both ways.
    wanted = max(0.0, density * nodes - 1) * nodes / 2
    discriminant = nodes**2 - 4 * wanted
    each = math.floor((nodes - math.sqrt(max(discriminant, 0.0))) / 2 + 1e-9)
    if not each:
        return torch.eye(nodes, dtype=torch.bool)
    return _adjacency(nx.barabasi_albert_graph(nodes, min(each, nodes - 1), seed=_seed(generator)))


def _adjacency(graph: object) -> Tensor:
    import networkx as nx

    found = torch.from_numpy(nx.to_numpy_array(graph)) > 0
    return found | torch.eye(len(found), dtype=torch.bool)


def _seed(generator: torch.Generator) -> int:
    return int(torch.randint(2**31, (), generator=generator))
