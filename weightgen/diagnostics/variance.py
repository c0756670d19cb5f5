"""Forward and backward variance of every layer: what a start was meant to keep from vanishing or exploding.

Glorot and Bengio 2010 (section 4.2), He et al. 2015 (section 2.2).
"""

from __future__ import annotations

import math
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor

from weightgen.diagnostics.measure import Measurement, Probe, Row, Series
from weightgen.errors import UsageError


def layer_variances(probe: Probe) -> dict[str, tuple[float, float]]:
    """Return for each layer, in the order of execution, the variance of its outputs and of the loss's gradient there.

    Both over all items, places and units. Where the model has nothing to predict, the gradient is that of the outputs'
    product with N(0, 1) numbers; where none arrives it is not a number. A layer that runs several times counts each.
    """
    forward: dict[str, float] = {}
    backward: dict[str, float] = {}

    def watch(name: str) -> Any:
        def hook(module: torch.nn.Module, given: Any, found: Tensor) -> None:
            runs = sum(known.partition(" ")[0] == name for known in forward)
            key = name if not runs else f"{name} ({runs + 1})"
            # At once: an activation may overwrite the outputs in place.
            forward[key] = _variance(found)
            if found.requires_grad:
                found.register_hook(  # type: ignore[no-untyped-call]
                    lambda slope: backward.__setitem__(key, _variance(slope))
                )

        return hook

    with ExitStack() as stack, torch.enable_grad():
        for name, layer in probe.layers().items():
            stack.callback(layer.register_forward_hook(watch(name)).remove)
        entered: list[Tensor] = []

        def enter(values: Tensor) -> Tensor:
            entered.append(values.detach().requires_grad_())
            return entered[0] * 1.0  # an embedding's outputs may be overwritten, too, and a leaf must not be

        outputs = probe.outputs(enter=enter)
        # In the weights, too: some layers compute biases of an attention, to which no input leads.
        leaves = [*entered, *(p for p in probe.model.parameters() if p.requires_grad)]
        torch.autograd.grad(_objective(probe, outputs), leaves, allow_unused=True)
    return {name: (value, backward.get(name, math.nan)) for name, value in forward.items()}


def variance(probe: Probe) -> Measurement:
    """Return how the variance of outputs and gradients runs through the layers; raises UsageError without layers."""
    found = layer_variances(probe)
    forward, backward = [f for f, _ in found.values()], [b for _, b in found.values()]
    reached = [b for b in backward if not math.isnan(b)]
    if not reached:
        raise UsageError("needs linear or convolutional layers that a gradient reaches")
    ratios = _ratio(forward[-1], forward[0]), _ratio(reached[0], reached[-1])
    steps = max(len(forward) - 1, 1), max(len(reached) - 1, 1)
    return Measurement(
        "variance",
        {
            "forward_last_over_first": ratios[0],
            "backward_first_over_last": ratios[1],
            "forward_largest_over_smallest": _ratio(max(forward), min(forward)),
            "backward_largest_over_smallest": _ratio(max(reached), min(reached)),
        },
        f"over {len(found)} layers outputs {_course(ratios[0], steps[0])} and gradients {_course(ratios[1], steps[1])}",
        f"{probe.items} items",
        tuple(Row(name, {"forward": f, "backward": b}) for name, (f, b) in found.items()),
        (
            Series("variance of outputs", "layer", tuple(forward), log=True),
            Series("variance of gradients", "layer", tuple(backward), log=True),
        ),
    )


def _objective(probe: Probe, outputs: Tensor) -> Tensor:
    if probe.loss is not None:
        return probe.loss(outputs, probe.batch)
    weights = torch.randn(outputs.shape, generator=probe.generator()).to(outputs)
    return (weights * outputs).sum()


def _variance(values: Tensor) -> float:
    return float(values.detach().double().var(unbiased=False))


def _ratio(above: float, below: float) -> float:
    if below == 0:
        return math.nan if above == 0 else math.inf
    return above / below


def _course(ratio: float, steps: int) -> str:
    """Say what a variance does on its way through the layers."""
    if not 0 < ratio < math.inf:
        return "vanish or are not finite"
    per_layer = ratio ** (1 / steps)
    kept = "keep their variance" if 0.1 < ratio < 10 else "grow" if ratio > 1 else "shrink"
    return f"{kept} (x {per_layer:.3g} a layer)"
