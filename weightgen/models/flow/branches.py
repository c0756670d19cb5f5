"""Residual branches and gates, found by what is added to, or multiplied with, something made of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from weightgen.models.flow.graph import Flow

LONGEST_SHORTCUT = 1
"""Layers of a shortcut: a projection where the shape changes."""


@dataclass(frozen=True)
class Branch:
    """One residual branch: x + f(x)."""

    places: dict[int, int]
    """Layer of the branch -> layers of the branch on the longest way to it."""

    @property
    def length(self) -> int:
        """Layers on the longest way through it."""
        return 1 + max(self.places.values())


@dataclass
class Structure:
    """What the flow is made of. Numbers are those of steps."""

    branches: list[Branch] = field(default_factory=list)
    """From the input on. A layer that is inside of several belongs to the innermost."""
    ends: set[int] = field(default_factory=set)
    """Layers that write to the residual stream."""
    shortcuts: set[int] = field(default_factory=set)
    """Layers beside a branch."""
    gates: set[int] = field(default_factory=set)
    """Layers of x * g(x), as in squeeze-and-excitation, and routers of experts."""
    gated: dict[int, int] = field(default_factory=dict)
    """Product with a gate -> the x in it."""


def find_structure(flow: Flow) -> Structure:
    """Return the residual branches and gates of a flow."""
    found = Structure()
    readers = flow.readers()
    for product, straight, around in _forks(flow, "mul"):
        around_layers = flow.layers(around)
        if around_layers and not flow.layers(straight):
            found.gates.update(around_layers)
            found.gated[product] = next(i for i in flow.steps[product].inputs if i not in around)
    taken = set(found.gates)
    for _, shortcut, branch in _forks(flow, "add"):
        beside, through = set(flow.layers(shortcut)), set(flow.layers(branch))
        if len(beside) > LONGEST_SHORTCUT or len(through) <= len(beside):
            continue
        own = (through | _sources(flow, readers, branch)) - taken
        ends, gates = _writers(flow, own, branch)
        if own and not ends:
            continue  # attention scores, to which positions are added in every block anew
        found.shortcuts |= beside - taken
        taken |= own | beside
        if own:
            found.ends |= ends
            found.gates |= gates
            found.branches.append(Branch(_places(flow, own - gates)))
    return found


def _forks(flow: Flow, op: str) -> Iterator[tuple[int, list[int], list[int]]]:
    """Yield each sum or product of two ways from one step: itself, the steps of the shorter way and of the longer."""
    for number, step in enumerate(flow.steps):
        if step.op != op:
            continue
        one, other = step.inputs[0], step.inputs[-1]
        shared = flow.before([one]) & flow.before([other])
        if shared:
            fork = max(shared)
            ways = [flow.between(fork, one), flow.between(fork, other)]
            shorter, longer = sorted(ways, key=lambda way: len(flow.layers(way)))
            yield number, shorter, longer


def _sources(flow: Flow, readers: list[list[int]], branch: list[int]) -> set[int]:
    """Return the layers of a branch that do not read its stream: keys and values of cross-attention."""
    inside, found = set(branch), set()
    for number in range(max(branch, default=0), -1, -1):
        if number in inside or not readers[number] or not inside.issuperset(readers[number]):
            continue
        if flow.steps[number].op == "layer":
            found.add(number)
        elif flow.steps[number].op in ("pass", "norm", "activation"):
            inside.add(number)
    return found


def _writers(flow: Flow, own: set[int], branch: list[int]) -> tuple[set[int], set[int]]:
    """Return the last layers of a branch, and those that only weigh what others write: routers of experts.

    In a product at the end of a branch, the way with more layers is the signal. Nothing writes at the end of a branch
    that is a product of matrices.
    """
    ends, gates, inside = set(), set(), set(branch)
    waiting, seen = [branch[-1]], set()
    while waiting:
        number = waiting.pop()
        if number in seen or number not in inside:
            continue
        seen.add(number)
        inputs = flow.steps[number].inputs
        if number in own:
            ends.add(number)
        elif flow.steps[number].op == "mul":
            ways = {i: flow.before([i]) & own for i in inputs}
            most = max(map(len, ways.values()))
            written = [i for i in inputs if len(ways[i]) == most]
            gates |= set().union(*ways.values()) - set().union(*(ways[i] for i in written))
            waiting += written
        elif flow.steps[number].op == "mix":
            return set(), set()
        else:
            waiting += inputs
    return ends, gates


def _places(flow: Flow, layers: set[int]) -> dict[int, int]:
    """Return for each layer how many of the others are on the longest way to it."""
    depth: dict[int, int] = {}
    places: dict[int, int] = {}
    for number in range(min(layers), max(layers) + 1):
        deepest = max((depth.get(i, 0) for i in flow.steps[number].inputs), default=0)
        if number in layers:
            places[number] = deepest
        depth[number] = deepest + (number in layers)
    return places
