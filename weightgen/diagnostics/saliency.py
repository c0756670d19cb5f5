"""Scores of single weights at initialisation, by which networks are pruned before they are trained: SNIP and GraSP.

Lee, Ajanthan and Torr 2019, "SNIP: single-shot network pruning based on connection sensitivity"; Wang, Zhang and Grosse
2020, "Picking winning tickets before training by preserving gradient flow". In both, the higher is kept.
"""

from __future__ import annotations

import torch
from torch import Tensor

from weightgen.diagnostics.measure import Measurement, Probe, Row, Tensors, gradients
from weightgen.errors import UsageError

GRASP_ITEMS = 8
"""Second derivatives hold several times the memory of a training step."""
TEMPERATURE = 200.0
"""By which GraSP divides the outputs, as its authors do."""


def snip_scores(probe: Probe) -> Tensors:
    """Return |g w| for every weight of linear and convolutional layers, divided by the sum over all of them.

    Raises UsageError without a loss, or where no weight has a gradient.
    """
    return _normalised(_sensitivities(probe))[0]


def grasp_scores(probe: Probe, temperature: float = TEMPERATURE) -> Tensors:
    """Return w * (H g) for every weight of linear and convolutional layers, of the loss of outputs / temperature.

    To first order, removing a weight changes |g|^2 by -2 w * (H g): what is kept is what the gradient's norm rests on.
    Another published code has the opposite sign, and keeps the lowest. H and g are those of these weights alone.
    Raises UsageError without a loss.
    """
    weights = probe.weights()
    leaves = {n: w.requires_grad_() for n, w in weights.items()}
    with torch.enable_grad():
        loss = _loss(probe, leaves, temperature)
        slopes = torch.autograd.grad(
            loss, list(leaves.values()), create_graph=True, allow_unused=True, materialize_grads=True
        )
        flow = sum((s * s.detach()).sum() for s in slopes)
        assert isinstance(flow, Tensor)
        bent = torch.autograd.grad(flow, list(leaves.values()), allow_unused=True, materialize_grads=True)
    return {n: (w * b).detach() for (n, w), b in zip(leaves.items(), bent, strict=True)}


def snip(probe: Probe) -> Measurement:
    """Return how the sensitivity of the loss to connections is spread over the layers."""
    scores, total = _normalised(_sensitivities(probe))
    shares = {n.removesuffix(".weight"): float(s.double().sum()) for n, s in scores.items()}
    first = max(shares, key=lambda n: shares[n])
    return Measurement(
        "snip",
        {"sensitivity": total, "largest_layer_share": shares[first]},
        f"{first} holds {shares[first]:.1%} of the sensitivity, the most of {len(shares)} layers",
        f"{probe.items} items",
        tuple(Row(n, {"share": share}) for n, share in shares.items()),
    )


def grasp(probe: Probe) -> Measurement:
    """Return how the gradient's norm rests on the weights of each layer."""
    used = probe.take(GRASP_ITEMS)
    scores = grasp_scores(used)
    sums = {n.removesuffix(".weight"): float(s.double().sum()) for n, s in scores.items()}
    whole = sum(sums.values())
    against = sum(float((s < 0).sum()) for s in scores.values()) / sum(s.numel() for s in scores.values())
    return Measurement(
        "grasp",
        {"score": whole, "share_below_zero": against},
        f"removing {against:.0%} of the weights would, one by one, let the gradient grow",
        f"{used.items} of {probe.items} items",
        tuple(Row(n, {"score": value}) for n, value in sums.items()),
    )


def _sensitivities(probe: Probe) -> Tensors:
    weights = probe.weights()
    return {n: (g * weights[n]).abs() for n, g in gradients(probe.mean_loss, weights).items()}


def _normalised(sensitivities: Tensors) -> tuple[Tensors, float]:
    total = float(sum(s.double().sum() for s in sensitivities.values()))
    if not total > 0:
        raise UsageError("no weight has a gradient")
    return {n: s / total for n, s in sensitivities.items()}, total


def _loss(probe: Probe, tensors: Tensors, temperature: float) -> Tensor:
    if probe.loss is None:
        return probe.mean_loss()  # which says why not
    return probe.loss(probe.outputs(tensors) / temperature, probe.batch)
