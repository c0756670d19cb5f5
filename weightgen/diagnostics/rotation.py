"""Layer rotation: how far each layer's weights turned away from where they began.

Carbonnelle and De Vleeschouwer, "Layer rotation: a surprisingly simple indicator of generalization in deep networks?",
2018, arXiv 1806.01603.
"""

from __future__ import annotations

import statistics

from torch import Tensor

from weightgen.diagnostics.measure import Measurement, Probe, Row, Series
from weightgen.errors import UsageError


def turned(weight: Tensor, start: Tensor) -> float | None:
    """Return 1 - cos of the angle between a weight and its start, exactly 0 for equal ones; None where one is zero."""
    one, other = weight.detach().double(), start.detach().double()
    if not float(one.norm()) or not float(other.norm()):
        return None
    return float((one / one.norm() - other / other.norm()).square().sum()) / 2


def rotation(before: Probe, after: Probe) -> Measurement:
    """Return the rotation of the weights of linear and convolutional layers; biases and norms have none.

    1 is a right angle, at which networks that generalise best end, by the paper's abstract; 0 is the direction of the
    start. Raises UsageError where no weight has a direction in both.
    """
    starts = before.weights()
    found = {n: turned(weight, starts[n]) for n, weight in after.weights().items()}
    rows = tuple(Row(n.removesuffix(".weight"), {"rotation": r}) for n, r in found.items() if r is not None)
    if not rows:
        raise UsageError("needs linear or convolutional layers that are not zero")
    values = [row.values["rotation"] for row in rows]
    return Measurement(
        "rotation",
        {"mean": statistics.fmean(values), "smallest": min(values), "largest": max(values)},
        f"layers turned by 1 - cos of {min(values):.2g} to {max(values):.2g}; a right angle is 1",
        f"{len(rows)} of {len(found)} weights",
        rows,
        (Series("rotation", "layer", tuple(values)),),
    )
