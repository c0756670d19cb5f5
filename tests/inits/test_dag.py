"""Variances and learning rates from a network's graph: what is equal at every vertex, and how paths are counted."""

from __future__ import annotations

import doctest
import math
from collections import Counter

import pytest
import timm
import torch
from torch import Tensor, nn

from weightgen.errors import UsageError
from weightgen.inits import dag
from weightgen.inits.dag import dag_, in_degrees, learning_rate_ratio, path_lengths, plan
from weightgen.inits.initialiser import Assignment, Options
from weightgen.inits.roles import roles

WIDTH = 256


class Complete(nn.Module):
    """z_j = sum_{i<j} W_ij relu(z_i) on a complete graph, with a stem before and a readout after it."""

    def __init__(self, vertices: int, width: int = WIDTH) -> None:
        super().__init__()
        self.stem = nn.Linear(width, width)
        self.edges = nn.ModuleList(nn.ModuleList(nn.Linear(width, width) for _ in range(j)) for j in range(1, vertices))
        self.readout = nn.Linear(width, 10)

    def vertices(self, x: Tensor) -> list[Tensor]:
        found = [self.stem(x)]
        for edges in self.edges:
            assert isinstance(edges, nn.ModuleList)
            found.append(sum(edge(torch.relu(z)) for edge, z in zip(edges, found, strict=True)))
        return found

    def forward(self, x: Tensor) -> Tensor:
        return self.readout(torch.relu(self.vertices(x)[-1]))  # type: ignore[no-any-return]


class Residual(nn.Module):
    """Blocks x + fc2(relu(fc1(x))), with sizes read from the tensor on the way."""

    def __init__(self, blocks: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4)]) for _ in range(blocks))

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            assert isinstance(block, nn.ModuleList)
            x = (x + block[1](block[0](x).relu())).view(x.shape[0], x.size(1))
        return x


def assigned(model: nn.Module) -> dict[str, Assignment]:
    return {a.tensor: a for a in plan(model, roles(model), Options())}


def initialise(model: nn.Module, generator: torch.Generator) -> None:
    for name, assignment in assigned(model).items():
        assert assignment.fill is not None
        assignment.fill(model.get_parameter(name).detach(), generator)


def squares(model: Complete, seeds: int, degrees: dict[str, int] | None = None) -> list[float]:
    """E z^2 at every vertex, in units of the first."""
    total = torch.zeros(len(model.edges) + 1)
    for seed in range(seeds):
        generator = torch.Generator().manual_seed(seed)
        initialise(model, generator)
        for name, degree in (degrees or {}).items():
            dag_(model.get_parameter(name), degree, generator=generator)
        with torch.no_grad():
            total += torch.stack(
                [z.square().mean() for z in model.vertices(torch.randn(64, WIDTH, generator=generator))]
            )
    return [float(v / total[0]) for v in total]


def test_every_vertex_has_the_same_mean_square() -> None:
    assert squares(Complete(4), 24) == pytest.approx([1, 1, 1, 1], abs=0.04)


def test_the_degree_of_the_source_is_the_wrong_one() -> None:
    model = Complete(4)
    by_source = {f"edges.{j - 1}.{i}.weight": max(i, 1) for j in range(1, 4) for i in range(j)}
    found = squares(model, 24, by_source)
    assert found == pytest.approx([1, 1, 2, 3], rel=0.08)
    assert found[3] > 2.5


def test_degrees_are_those_of_the_target() -> None:
    model = Complete(4, 8)
    assert in_degrees(model) == {
        "stem.weight": 1,
        **{f"edges.{j - 1}.{i}.weight": j for j in range(1, 4) for i in range(j)},
        "readout.weight": 1,
    }
    # By hand: z_3 is reached over any subset of z_1 and z_2, with a ReLU at each vertex left.
    assert path_lengths(model) == {2: 1, 3: 2, 4: 1}


def test_the_blocks_of_a_resnet() -> None:
    model = timm.create_model("resnet18", layers=(1, 2, 1, 1), channels=(8, 8, 16, 16), num_classes=3)
    degrees, paths = in_degrees(model), path_lengths(model)
    for name, degree in degrees.items():
        assert degree == (2 if "conv2" in name or "downsample" in name else 1), name
    assert set(degrees) == {n for n, p in model.named_parameters() if p.ndim > 1}
    # Five blocks: each is passed by its branch, which has one ReLU more, or by its shortcut.
    assert paths == {6 + k: math.comb(5, k) for k in range(6)}
    assert learning_rate_ratio(paths) == pytest.approx(sum(math.comb(5, k) * (6 + k) ** 3 for k in range(6)) ** -0.5)
    initialise(model, torch.Generator().manual_seed(0))
    inside, end = (c.weight.detach() for c in (model.layer2[1].conv1, model.layer2[1].conv2))
    assert float(inside.var() * 72) == pytest.approx(2, rel=0.15)
    assert float(end.var() * 72) == pytest.approx(1, rel=0.15)
    assert float(model.fc.weight.detach().std() * 16) == pytest.approx(1, rel=0.3)
    assert not model.fc.bias.any()


def test_paths_are_counted_without_enumeration() -> None:
    assert path_lengths(Residual(6)) == Counter(choice.bit_count() for choice in range(2**6))
    paths = path_lengths(Residual(200))
    assert sum(paths.values()) == 2**200
    assert paths[100] == math.comb(200, 100)
    assert learning_rate_ratio(paths) == pytest.approx(2.0**-100 / 1000, rel=0.02)  # E L^3 = 100^3 (1 + 3/200)
    assert 0 < learning_rate_ratio({n: 4**n for n in range(600)}) < 1e-180  # sums beyond the largest float


def test_nested_sums_are_one_vertex_and_constants_are_no_edge() -> None:
    class Sums(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c, self.d = (nn.Linear(3, 3) for _ in range(4))
            self.shift = nn.Parameter(torch.zeros(1))

        def forward(self, x: Tensor) -> Tensor:
            three = (self.a(x) + 1 + self.shift) + (self.b(x) - self.c(x).mul_(2))
            return torch.cat([three, three + self.d(x)], 1).tanh()

    assert in_degrees(Sums()) == {"a.weight": 3, "b.weight": 3, "c.weight": 3, "d.weight": 2}
    assert path_lengths(Sums()) == {1: 3 + 3 + 1}


def test_the_ratio_of_learning_rates() -> None:
    assert learning_rate_ratio({1: 1}) == 1
    assert learning_rate_ratio({2: 1, 3: 2, 4: 1}) == pytest.approx((8 + 2 * 27 + 64) ** -0.5)
    assert learning_rate_ratio({3: 1, 5: 2}, base={3: 1}) == pytest.approx(((27 + 250) / 27) ** -0.5)
    assert learning_rate_ratio({3: 1}, {3: 1}, kernel=7, base_kernel=3) == pytest.approx(3 / 7)
    with pytest.raises(UsageError, match="paths: expected at least one path with an activation"):
        learning_rate_ratio({0: 4})
    with pytest.raises(UsageError, match="base: expected at least one path"):
        learning_rate_ratio({1: 1}, {})
    with pytest.raises(UsageError, match="kernel: expected a positive number, found 0"):
        learning_rate_ratio({1: 1}, kernel=0)


def test_a_plan_names_every_layer_and_draws_what_it_says() -> None:
    model = Complete(3, 40)
    assignments = assigned(model)
    assert set(assignments) == {name for name, _ in model.named_parameters()}
    edge = assignments["edges.1.0.weight"]
    assert (edge.rule, edge.why) == ("N(0, 1 / n)", "in-degree 2")
    assert assignments["readout.weight"].rule == "N(0, 1 / n^2)"
    values = torch.empty(400, 500)
    assert edge.fill is not None
    edge.fill(values, torch.Generator().manual_seed(1))
    assert float(values.var() * 500) == pytest.approx(1, rel=0.02)
    assert torch.equal(values, dag_(torch.empty(400, 500), 2, generator=torch.Generator().manual_seed(1)))


def test_graphs_that_cannot_be_had_are_refused() -> None:
    class Branching(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x if x.sum() > 0 else -x

    for read in (in_degrees, path_lengths):
        with pytest.raises(UsageError, match=r"Branching: its forward pass can be neither traced.*\n.*he-normal"):
            read(Branching())
    with pytest.raises(UsageError, match="degree: expected at least 1, found 0"):
        dag_(torch.empty(2, 2), 0)
    with pytest.raises(UsageError, match="dag_: a weight on the meta device has no values"):
        dag_(torch.empty(2, 2, device="meta"), 1)


def test_examples() -> None:
    assert doctest.testmod(dag).failed == 0
