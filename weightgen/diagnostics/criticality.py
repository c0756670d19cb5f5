"""Order and chaos: whether two nearby inputs drift apart (chi > 1), together (chi < 1), or neither, layer by layer.

Poole et al. 2016, Schoenholz et al. 2017; the solver as in Pennington, Schoenholz and Ganguli 2017 (section 2.2). A
critical start need not be an isometric one: ReLU networks are critical at sigma_w^2 = 2, whatever their spectrum.
"""

from __future__ import annotations

import math
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor

from weightgen.diagnostics.measure import Measurement, Probe, Row, Series
from weightgen.errors import UsageError
from weightgen.inits.activations import Activation
from weightgen.inits.gain import moments
from weightgen.inits.tensors import check_positive

APART = 1e-6
"""Distance of the two inputs, relative to their size: in float64 a derivative, to six digits."""
ITEMS = 8
MOST, CLOSE = 10_000, 1e-13


def critical_point(activation: Activation, q: float) -> tuple[float, float]:
    """Return (sigma_w, sigma_b) at which chi = 1 and preactivations of variance q keep it.

    sigma_w^2 E f'(sqrt(q) z)^2 = 1 and q = sigma_w^2 E f(sqrt(q) z)^2 + sigma_b^2; sigma_w^2 is the weights' variance
    times fan-in. Raises UsageError where no variance of biases gives q, and as `moments` does.
    """
    check_positive("q", q)
    size, slope = moments(activation, math.sqrt(q))
    if slope == 0:
        raise UsageError("activation: its slope is 0 everywhere: no weights make it critical")
    bias = q - size / slope
    if bias < -1e-12 * q:
        raise UsageError(f"q = {q:g}: no critical point, the variance of biases would be {bias:.3g}")
    return slope**-0.5, math.sqrt(max(bias, 0.0))


def chi(activation: Activation, sigma_w: float, q: float) -> float:
    """Return sigma_w^2 E f'(sqrt(q) z)^2, the factor by which a layer multiplies the squared distance of inputs."""
    check_positive("q", q)
    return sigma_w**2 * moments(activation, math.sqrt(q))[1]


def fixed_variance(activation: Activation, sigma_w: float, sigma_b: float, first: float = 1.0) -> float:
    """Return the variance q that preactivations settle at: q = sigma_w^2 E f(sqrt(q) z)^2 + sigma_b^2.

    Found by going through layers from a variance `first`. Raises UsageError where they do not settle.
    """
    q = first
    for _ in range(MOST):
        after = sigma_w**2 * moments(activation, math.sqrt(q))[0] + sigma_b**2
        if abs(after - q) <= CLOSE * q:
            return after
        if not 1e-30 < after < 1e30:
            break
        q = after
    raise UsageError(f"sigma_w = {sigma_w:g}, sigma_b = {sigma_b:g}: the variance does not settle above 0 (at {q:.3g})")


def distances(probe: Probe) -> dict[str, float]:
    """Return for each layer the squared distance of its outputs for two nearby inputs, over that of the inputs.

    Mean over units of each, in the order of execution, in float64. Directions are drawn; tokens move as embeddings.
    """
    probe = probe.double()
    inputs = probe.entering()
    scale = APART * float(inputs.square().mean().sqrt())
    if scale == 0:
        raise UsageError("needs inputs that are not all zero")
    direction = torch.randn(inputs.shape, generator=probe.generator(), dtype=torch.float64).to(inputs.device)
    here, there = _layer_outputs(probe, inputs), _layer_outputs(probe, inputs + scale * direction)
    apart = scale**2 * float(direction.square().mean())
    return {name: float((there[name] - here[name]).square().mean()) / apart for name in here}


def criticality(probe: Probe) -> Measurement:
    """Return chi as it is measured: the mean factor by which a layer multiplies the distance of nearby inputs."""
    found = distances(probe.take(ITEMS))
    if len(found) < 2:
        raise UsageError("needs two linear or convolutional layers or more")
    values = tuple(found.values())
    if not 0 < values[0] < math.inf or not math.isfinite(values[-1]):
        raise UsageError("the distance of nearby inputs is 0 or not finite behind the first layer")
    factor = (values[-1] / values[0]) ** (1 / (len(values) - 1))
    side = "neither order nor chaos" if 0.95 < factor < 1.05 else "ordered" if factor < 1 else "chaotic"
    return Measurement(
        "criticality",
        {"chi": factor, "last_over_first": values[-1] / values[0]},
        f"a layer multiplies the squared distance of nearby inputs by {factor:.3g}: {side}",
        f"{min(probe.items, ITEMS)} items",
        tuple(Row(name, {"distance": value}) for name, value in found.items()),
        (Series("squared distance of nearby inputs", "layer", values, log=True),),
    )


def _layer_outputs(probe: Probe, inputs: Tensor) -> dict[str, Tensor]:
    seen: dict[str, Tensor] = {}

    def keep(name: str) -> Any:
        def hook(module: torch.nn.Module, given: Any, found: Tensor) -> None:
            seen.setdefault(name, found.detach().clone())  # an activation may overwrite it in place

        return hook

    with ExitStack() as stack, torch.no_grad():
        for name, layer in probe.layers().items():
            stack.callback(layer.register_forward_hook(keep(name)).remove)
        probe.outputs(enter=lambda _: inputs)
    return seen
