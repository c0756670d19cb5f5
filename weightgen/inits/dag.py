"""Architecture-aware variances and learning rates: what the graph of a ReLU network asks of each of its layers.

Chen, Wu, Wang and Hanin, "Principled Architecture-aware Scaling of Hyperparameters", ICLR 2024, arXiv 2402.17440.

Vertices are where tensors are summed, edges are the layers between them, and a path is a way from the input to the
output, which passes a number of activations.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from weightgen.errors import UsageError
from weightgen.inits.initialiser import Assignment, Fill, Options
from weightgen.inits.role import Roles
from weightgen.inits.rules import layer
from weightgen.inits.tensors import check_positive, check_weight, fan_in, fill
from weightgen.models.flow import Flow, find_flow

BASE: Mapping[int, int] = {1: 1}
"""Paths of the network that a rate is tuned on, input - hidden - output: one path with one activation."""


def dag_(weight: Tensor, degree: int, readout: bool = False, generator: torch.Generator | None = None) -> Tensor:
    """Return the weight (out, in) or (out, in / groups, *kernel), drawn from N(0, 2 / (degree n)) in place.

    n is the fan-in and `degree` the in-degree of the vertex where the layer's output is summed, the target of its edge
    (appendix A, equation 12), so that E z^2 is the same at every vertex of z_j = sum_i W_ij relu(z_i). The output layer
    (`readout`) has variance 1 / n^2. A layer that reads raw data, which no ReLU halved, doubles their mean square.

    Equation 4 of the paper's body and its code take the in-degree of the source, with which E z^2 grows along the
    graph. Their code takes fan-out in MLPs and CNNs; fan-in is what keeps E z^2.

    Raises UsageError as `check_weight` does, and for a degree below 1.

    >>> weight = dag_(torch.empty(500, 400), degree=4, generator=torch.Generator().manual_seed(0))
    >>> round(float(weight.var() * 400), 2)
    0.5
    """
    check_weight(weight, "dag_")
    if degree < 1:
        raise UsageError(f"degree: expected at least 1, found {degree}")
    inputs = fan_in(weight)
    return fill(weight, 1 / inputs if readout else math.sqrt(2 / (degree * inputs)), generator)


def in_degrees(model: nn.Module) -> dict[str, int]:
    """Return, for each layer's weight, how many tensors are summed where its output goes, 1 where nothing is.

    A sum of sums that nothing else reads is one vertex; adding a constant or a parameter is no sum, concatenation is
    none. Of a layer that is used several times it is the largest. The model may be on the meta device.
    Raises UsageError for a forward pass that cannot be followed.

    >>> in_degrees(nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)))
    {'0.weight': 1, '2.weight': 1}
    """
    flow = _flow(model)
    readers = flow.readers()
    found: dict[str, int] = {}
    for number, step in enumerate(flow.steps):
        if step.op == "layer":
            found[step.tensor] = max(found.get(step.tensor, 1), _degree(flow, readers, number))
    return found


def path_lengths(model: nn.Module) -> dict[int, int]:
    """Return how many paths from the input to the output pass how many activations: {activations: paths}.

    Paths are counted step by step and never listed: 100 residual branches have 2^100. They go through every tensor that
    an operation is given, both factors of a product, too. Raises as `in_degrees` does.

    >>> path_lengths(nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)))
    {1: 1}
    """
    flow = _flow(model)
    counts: list[Counter[int]] = []
    for step in flow.steps:
        here = Counter({0: 1}) if step.op == "input" else Counter()
        for origin in step.inputs:
            here.update({length + (step.op == "activation"): paths for length, paths in counts[origin].items()})
        counts.append(here)
    total = sum((counts[number] for number in flow.outputs), Counter[int]())
    return dict(sorted(total.items()))


def learning_rate_ratio(
    paths: Mapping[int, int], base: Mapping[int, int] = BASE, kernel: int = 1, base_kernel: int = 1
) -> float:
    """Return the factor from the best rate of a small base network to that of another: what to multiply it by.

    (sum_p L_p^3 / sum_base L_p^3)^(-1/2) base_kernel / kernel: `paths` and `base` say how many paths have how many
    ReLUs, as `path_lengths` does; kernels are sides of the convolutions. Their code gives the base a single path of
    length 3 and adds 3 to each path of an MLP's or CNN's inner graph, for stem and readout: pass such lengths to
    reproduce it.

    Raises UsageError where no path has an activation, and for kernels that are not positive.

    >>> learning_rate_ratio({2: 2}), learning_rate_ratio({1: 1}, kernel=5, base_kernel=3)
    (0.25, 0.6)
    """
    totals = [sum(count * length**3 for length, count in counts.items()) for counts in (paths, base)]
    for name, total in zip(("paths", "base"), totals, strict=True):
        if total <= 0:
            raise UsageError(f"{name}: expected at least one path with an activation, found none")
    check_positive("kernel", kernel)
    check_positive("base_kernel", base_kernel)
    # Counts of paths double with every branch: their logarithms fit a float where they do not.
    return math.exp((math.log(totals[1]) - math.log(totals[0])) / 2) * base_kernel / kernel


def plan(model: nn.Module, roles: Roles, options: Options) -> list[Assignment]:
    """Return what each layer on the graph gets; the biases of those layers become 0. Raises as `in_degrees` does."""
    degrees = in_degrees(model)
    assignments: list[Assignment] = []
    for name, role in roles.tensors.items():
        if name not in degrees:
            continue
        degree, readout = degrees[name], role.kind == "head"
        rule = "N(0, 1 / n^2)" if readout else f"N(0, {2 / degree:.3g} / n)"
        why = "" if readout else f"in-degree {degree}"
        assignments += layer(role, rule, _fill(degree, readout), why)
    return assignments


def _fill(degree: int, readout: bool) -> Fill:
    return lambda weight, generator: dag_(weight, degree, readout, generator)


def _flow(model: nn.Module) -> Flow:
    flow = find_flow(model)
    if flow is None:
        raise UsageError(
            f"{type(model).__name__}: its forward pass can be neither traced nor watched, and in-degrees and paths are "
            "read from it.\nRules that look at layers one by one need no graph: he-normal, orthogonal"
        )
    return flow


def _degree(flow: Flow, readers: list[list[int]], number: int) -> int:
    """Return the in-degree of the vertex that a layer's output is summed into."""
    while len(readers[number]) == 1 and number not in flow.outputs:
        (number,) = readers[number]
        step = flow.steps[number]
        if step.op == "add":
            while len(readers[number]) == 1 and flow.steps[readers[number][0]].op == "add":
                (number,) = readers[number]
            return _terms(flow, readers, number)
        if step.op == "layer" or len(step.inputs) != 1:
            return 1
    return 1


def _terms(flow: Flow, readers: list[list[int]], number: int) -> int:
    """Return how many tensors a sum adds up, those of sums inside of it one by one."""
    inner = [i for i in flow.steps[number].inputs if flow.steps[i].op == "add" and len(readers[i]) == 1]
    return len(flow.steps[number].inputs) - len(inner) + sum(_terms(flow, readers, i) for i in inner)
