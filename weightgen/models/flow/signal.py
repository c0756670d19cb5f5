"""Which activations a layer reads from and feeds into."""

from __future__ import annotations

from collections.abc import Mapping

from weightgen.models.flow.activation import Activation
from weightgen.models.flow.graph import Flow

LINEAR = None
"""No activation: what comes from another layer, a residual stream, a norm or the network's input."""
Signals = list[Activation | None]


def read_by(flow: Flow, layer: int, gated: Mapping[int, int]) -> Signals:
    """Return the activations that a layer's input went through last; LINEAR alone where none of its ways has one.

    A product f(u) v of two signals, as gated linear units have it, counts as its activation alone: the v has the scale
    of its own layer. `gated` maps products with a gate to the step that is gated.
    """
    found: Signals = []
    seen: set[int] = set()
    waiting = list(flow.steps[layer].inputs)
    while waiting:
        number = waiting.pop()
        if number in seen:
            continue
        seen.add(number)
        step = flow.steps[number]
        if step.op == "activation":
            found.append(step.activation)
        elif number in gated:
            waiting.append(gated[number])
        elif step.op in ("pass", "mul", "mix"):
            waiting.extend(step.inputs)
        else:
            found.append(LINEAR)
    return [f for f in found if f is not LINEAR] or [LINEAR]


def fed_by(flow: Flow, layer: int, readers: list[list[int]]) -> Signals:
    """Return the activations that a layer's output goes into before anything else; LINEAR alone where there is none."""
    found: Signals = []
    seen: set[int] = set()
    waiting = list(readers[layer])
    while waiting:
        number = waiting.pop()
        if number in seen:
            continue
        seen.add(number)
        step = flow.steps[number]
        if step.op == "activation":
            found.append(step.activation)
        elif step.op in ("pass", "norm"):
            waiting.extend(readers[number])
        else:
            found.append(LINEAR)
    return [f for f in found if f is not LINEAR] or [LINEAR]


def normed_by(flow: Flow, layer: int, readers: list[list[int]]) -> str:
    """Return the weight of the norm that a layer's output goes through before anything else, empty where none does."""
    number = layer
    while len(readers[number]) == 1:
        (number,) = readers[number]
        step = flow.steps[number]
        if step.op == "norm":
            return step.tensor
        if step.op != "pass" or len(step.inputs) > 1:
            break
    return ""
