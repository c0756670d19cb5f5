"""GradSign: how well the gradients of single items agree in sign, weight by weight.

Zhang and Jia 2022, "GradSign: model performance inference with theoretical insights"; the sum over weights, whose range
is 0 to items x weights. The mean over weights, as one of the released variants takes it, ranks other models higher.
"""

from __future__ import annotations

import torch

from weightgen.diagnostics.measure import Measurement, Probe, Row, Tensors, gradients

ITEMS = 32


def agreement(probe: Probe) -> Tensors:
    """Return |sum over items of sign(gradient of the item's loss)| for every weight of linear and convolutional layers.

    Not the sign of the batch's gradient, in which one steep item outvotes all others. Items do not see each other:
    batch norms have fixed statistics in a probe. Raises UsageError where there is no loss or no such layer.
    """
    weights = probe.weights()
    votes = {n: torch.zeros_like(w) for n, w in weights.items()}
    for single in probe.singles():
        for name, slope in gradients(single.mean_loss, weights).items():
            votes[name] += slope.sign()
    return {n: v.abs() for n, v in votes.items()}


def gradsign(probe: Probe) -> Measurement:
    """Return the score and its share of the possible; the higher, the fewer steps against each other."""
    used = probe.take(ITEMS)
    votes = agreement(used)
    score = sum(float(v.double().sum()) for v in votes.values())
    share = score / (used.items * sum(v.numel() for v in votes.values()))
    return Measurement(
        "gradsign",
        {"score": score, "share_of_possible": share},
        f"signs of gradients agree to {share:.1%} of what {used.items} items could",
        f"{used.items} of {probe.items} items",
        tuple(Row(n.removesuffix(".weight"), {"share": float(v.mean()) / used.items}) for n, v in votes.items()),
    )
