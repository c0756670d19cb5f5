"""The graph of a forward pass, in the few kinds of steps that tell the roles of its layers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from weightgen.models.flow.activation import Activation

Op = Literal["input", "layer", "embedding", "activation", "norm", "add", "mul", "mix", "pass"]


@dataclass(frozen=True)
class Step:
    """One operation on what comes from the network's input.

    `add` and `mul` have two operands or more that do, and so has `mix`, a product of matrices (attention). `norm` is
    what takes the scale out of its input, softmax among it. Everything else that has no weights is a `pass`.
    """

    op: Op
    inputs: tuple[int, ...] = ()
    """Numbers of the steps that it reads, all of them smaller than its own."""
    tensor: str = ""
    """Weight of a layer or embedding, or of a norm that has one."""
    bias: str = ""
    transposed: bool = False
    """The weight is (in, out)."""
    groups: int = 1
    convolution: bool = False
    fused: int = 1
    """Layers of equal size that the weight holds, one after the other along its outputs."""
    made: bool = False
    """The weight is made of several parameters, as weight normalisation makes it; `tensor` is one of them."""
    activation: Activation | None = None
    name: str = ""
    """Name of torch's function or of the module's class."""


@dataclass
class Flow:
    """Steps in the order in which they were made."""

    steps: list[Step] = field(default_factory=list)
    outputs: tuple[int, ...] = ()

    def readers(self) -> list[list[int]]:
        """Return, for each step, the steps that read it."""
        found: list[list[int]] = [[] for _ in self.steps]
        for number, step in enumerate(self.steps):
            for origin in set(step.inputs):
                found[origin].append(number)
        return found

    def before(self, numbers: Iterable[int]) -> set[int]:
        """Return the given steps and all that they depend on."""
        seen: set[int] = set()
        waiting = list(numbers)
        while waiting:
            number = waiting.pop()
            if number not in seen:
                seen.add(number)
                waiting.extend(self.steps[number].inputs)
        return seen

    def between(self, start: int, end: int) -> list[int]:
        """Return the steps after `start`, `end` among them, by which `end` depends on it, in order."""
        found = {start}
        for number in range(start + 1, end + 1):
            if found.intersection(self.steps[number].inputs):
                found.add(number)
        return sorted((found & self.before([end])) - {start})

    def layers(self, numbers: Sequence[int]) -> list[int]:
        """Return those of the steps that are layers."""
        return [n for n in numbers if self.steps[n].op == "layer"]
