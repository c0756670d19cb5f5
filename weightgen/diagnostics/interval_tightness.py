"""Tightness under interval bounds: how much of what interval arithmetic allows a network can really do.

Mao, Mueller, Fischer and Vechev, "Understanding Certified Training with Interval Bound Propagation", ICLR 2024,
arXiv 2306.10426; the value for Gaussian linear networks is our derivation.
"""

from __future__ import annotations

import math

import torch

from weightgen.diagnostics.intervals import interval_bounds
from weightgen.diagnostics.jacobian import input_jacobian
from weightgen.diagnostics.measure import Measurement, Probe
from weightgen.errors import UsageError

ITEMS = 2
OUTPUTS = 64  # each is a backward pass
RADIUS = 1e-6  # so small that hardly an activation changes its branch inside, so large that float64 still sees it


def tightness(probe: Probe, radius: float = RADIUS, outputs: int = OUTPUTS) -> float:
    """Return the mean over items and outputs of |J| 1 / (radius of the interval bounds / radius of the inputs).

    J is the Jacobian at an item: |J| 1 is what the outputs really move where the inputs do within a small box. Between
    0 and 1; 1 for one layer and for weights without sign; for linear layers alone it is
    (|W_L ... W_1| 1) / (|W_L| ... |W_1| 1). Where there are more outputs than `outputs`, so many of them are drawn;
    those that nothing reaches are left out. Raises as `interval_bounds` does, and UsageError for tokens.
    """
    entrance, probe = probe.entrance, probe.double()
    if entrance is None:
        raise UsageError("needs continuous inputs, and the model reads tokens")
    inputs = probe.batch[entrance]
    allowed = interval_bounds(probe.model, inputs - radius, inputs + radius).radius.flatten(1) / radius
    rows = torch.randperm(allowed.shape[1], generator=probe.generator())[:outputs]
    real = torch.stack([input_jacobian(single, rows).abs().sum(1) for single in probe.singles()])
    allowed = allowed[:, rows]
    reached = allowed > 0
    return float((real[reached] / allowed[reached]).double().mean()) if bool(reached.any()) else 0.0


def gaussian_tightness(width: int, layers: int) -> float:
    """Return (pi / (2 width))^((layers - 1) / 2): what Gaussian linear layers of one width have, in the mean."""
    return math.pow(math.pi / (2 * width), (layers - 1) / 2)


def interval_tightness(probe: Probe) -> Measurement:
    """Return the tightness under interval bounds at the probe's first items; raises as `tightness` does."""
    probe = probe.take(ITEMS)
    found = tightness(probe)
    return Measurement(
        "interval-tightness",
        {"tightness": found},
        f"outputs move by {found:.2g} of what interval bounds must allow for",
        f"{probe.items} items, up to {OUTPUTS} outputs",
    )
