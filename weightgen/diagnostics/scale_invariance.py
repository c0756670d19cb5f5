"""Layers whose scale a norm behind them cancels: f(aW) = f(W), and the gradient at aW is 1/a of that at W.

Ioffe and Szegedy 2015, "Batch normalization", section 3.3. The scale at which such a layer starts decides nothing but
how fast it turns.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from weightgen.diagnostics.measure import Measurement, Probe, Row, batch_statistics, gradients
from weightgen.errors import UsageError

SCALE = 2.0
ITEMS = 4
MOVED = 1e-3
"""Relative change of outputs that a norm's epsilon may leave; it is 1e-5 / variance / 2 for a batch norm."""
OFF = 1e-2
"""Relative error of the gradient's factor 1/a that passes for none."""


def scale_changes(probe: Probe, scale: float = SCALE) -> dict[str, tuple[float, float]]:
    """Return for each layer what scaling its weights changes: (outputs, gradient).

    First |f(aW) - f(W)| / |f(W)|. Then a |grad(aW)| / |grad(W)|, of a fixed random product of the outputs: 1 where a
    norm cancels the scale, not a number where the gradient is 0, or the outputs moved anyhow. Batch norms normalise by
    the batch, as in training.
    """
    weights = probe.weights()
    with batch_statistics(probe.model):
        with torch.no_grad():
            plain = probe.outputs()
        mix = torch.randn(plain.shape, generator=probe.generator(), dtype=plain.dtype).to(plain.device)

        def mixed(tensors: dict[str, Tensor]) -> Tensor:
            return (mix * probe.outputs(tensors)).sum()

        slopes = gradients(mixed, weights)
        found = {}
        for name, weight in weights.items():
            scaled = {name: scale * weight}
            with torch.no_grad():
                change = float((probe.outputs(scaled) - plain).norm() / plain.norm())
            before, factor = float(slopes[name].norm()), math.nan
            if change <= MOVED and before > 0:  # elsewhere the gradient has nothing to say
                factor = scale * float(gradients(mixed, scaled)[name].norm()) / before
            found[name.removesuffix(".weight")] = change, factor
    return found


def scale_invariance(probe: Probe) -> Measurement:
    """Return which layers' scale is moot; raises UsageError without layers, or where all outputs are 0.

    The outputs alone do not tell: layers behind weights of 0 move them as little. Those are counted for themselves.
    """
    used = probe.take(ITEMS)
    with torch.no_grad():
        if not bool(used.outputs().any()):
            raise UsageError("all outputs are 0: nothing can be seen to change")
    found = scale_changes(used)
    moot = {n for n, (_, factor) in found.items() if abs(factor - 1) <= OFF}
    silent = {n for n, (change, factor) in found.items() if change <= MOVED and math.isnan(factor)}
    said = f"a norm cancels the scale of {len(moot)} of {len(found)} layers" if moot else "no norm cancels a scale"
    return Measurement(
        "scale-invariance",
        {"layers_cancelled": float(len(moot)), "layers_without_effect": float(len(silent)), "layers": len(found)},
        said + (f"; {len(silent)} have no effect yet" if silent else ""),
        f"{used.items} of {probe.items} items, weights x {SCALE:g}",
        tuple(
            Row(n, {"cancelled": math.nan if n in silent else float(n in moot), "change": change})
            for n, (change, _) in found.items()
        ),
    )
