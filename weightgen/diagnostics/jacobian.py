"""Singular values of the input-output Jacobian: dynamical isometry is all of them near 1.

Pennington, Schoenholz and Ganguli 2017, "Resurrecting the sigmoid in deep learning through dynamical isometry".
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.func import jacrev

from weightgen.diagnostics.measure import Measurement, Probe, Series
from weightgen.errors import UsageError

ITEMS = 2
WHOLE, DRAWN = 64, 32
"""Outputs up to which the Jacobian is whole, and how many of more are drawn: each is a backward pass in float64."""
AT_A_TIME = 8


def input_jacobian(probe: Probe, rows: Tensor | None = None) -> Tensor:
    """Return d outputs / d inputs of the probe's first item, (outputs, inputs), both flattened.

    Tokens are differentiated at their embeddings. `rows`: which outputs, all by default. In the probe's own precision:
    a spectrum needs float64, since single rounding hides singular values below 1e-7 of the largest.
    """
    probe = probe.take(1)
    inputs = probe.entering()

    def outputs(values: Tensor) -> Tensor:
        found = probe.outputs(enter=lambda _: values).flatten()
        return found if rows is None else found[rows]

    found: Tensor = jacrev(outputs, chunk_size=AT_A_TIME)(inputs)
    return found.detach().flatten(1)


def singular_values(probe: Probe, items: int = ITEMS) -> tuple[Tensor, str]:
    """Return singular values in falling order, and which part of the Jacobian they are of.

    Of each item's Jacobian in float64, then their geometric mean over items, value by value. Of more than
    WHOLE outputs DRAWN are drawn: the largest value of such a part of the rows is no larger than that of the whole,
    and where there are no more outputs than inputs its smallest is no smaller. Raises UsageError where a Jacobian is
    not finite.
    """
    probe = probe.take(items).double()
    with torch.no_grad():
        count = probe.take(1).outputs().numel()
    rows = None
    if count > WHOLE:
        rows = torch.randperm(count, generator=probe.generator())[:DRAWN].sort().values
    jacobians = [input_jacobian(single, rows) for single in probe.singles()]
    if not all(bool(torch.isfinite(j).all()) for j in jacobians):
        raise UsageError("the Jacobian is not finite")
    found = torch.linalg.svdvals(torch.stack(jacobians))
    sample = f"{probe.items} items, {count if rows is None else DRAWN} of {count} outputs"
    return found.log().mean(0).exp(), sample


def jacobian(probe: Probe) -> Measurement:
    """Return the spectrum of the input-output Jacobian; raises as `singular_values` does."""
    values, sample = singular_values(probe)
    largest, smallest = float(values[0]), float(values[-1])
    condition = largest / smallest if smallest > 0 else math.inf
    near = float(((values > 0.5) & (values < 2)).double().mean())
    return Measurement(
        "jacobian",
        {
            "largest": largest,
            "smallest": smallest,
            "condition": condition,
            "mean_square": float(values.square().mean()),
            "share_near_1": near,
        },
        f"{near:.0%} of the singular values lie between 1/2 and 2, condition {condition:.3g}",
        sample,
        series=(Series("singular value", "index", tuple(values.tolist()), log=True),),
    )
