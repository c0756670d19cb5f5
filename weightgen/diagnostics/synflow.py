"""SynFlow: what each weight carries of the flow through a network, without data.

Tanaka et al. 2020, "Pruning neural networks without any data by iteratively conserving synaptic flow".
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from weightgen.diagnostics.measure import Measurement, Probe, Row, Tensors, gradients
from weightgen.errors import UsageError


def synflow_scores(probe: Probe) -> tuple[Tensors, float]:
    """Return |w dR/dw| for every weight of linear and convolutional layers, and R = 1' |W_L| ... |W_1| 1, in float64.

    R is the sum of outputs for inputs of ones (tokens: embeddings of ones), every parameter replaced by its size. Of
    buffers none is: batch norms are taken with mean 0 and variance 1, since the size of a mean would be subtracted.
    The sum over a layer is R in every layer of a chain without biases. With biases it is less the nearer the inputs.
    Raises UsageError where R is 0 or not finite.
    """
    probe = probe.take(1).double()
    for norm in probe.model.modules():
        if isinstance(norm, _BatchNorm) and norm.running_mean is not None:
            norm.reset_running_stats()
    sizes = {n: p.abs() for n, p in probe.parameters().items()}
    names = [n for n in probe.weights() if n in sizes]

    def flow(weights: Tensors) -> Tensor:
        return probe.outputs({**sizes, **weights}, enter=torch.ones_like).sum()

    slopes = gradients(flow, {n: sizes[n] for n in names})
    with torch.no_grad():
        whole = float(flow({}))
    if whole == 0:
        raise UsageError(
            "no flow: a layer norm subtracts the mean of units that ones make equal, or a layer of zeros stops it"
        )
    if not math.isfinite(whole):
        raise UsageError("the flow is beyond float64")
    return {n: (sizes[n] * s).abs() for n, s in slopes.items()}, whole


def synflow(probe: Probe) -> Measurement:
    """Return the flow, as a logarithm, and how much of it each layer holds."""
    scores, whole = synflow_scores(probe)
    shares = {n.removesuffix(".weight"): float(s.sum()) / abs(whole) for n, s in scores.items()}
    low, high = min(shares.values()), max(shares.values())
    said = f"layers hold {low:.3g} to {high:.3g} x the flow: branches share it, biases and norms change it"
    return Measurement(
        "synflow",
        {"log10_flow": math.log10(abs(whole)), "smallest_layer": low, "largest_layer": high},
        "every layer conserves the flow" if low > 0.999 and high < 1.001 else said,
        "inputs of ones, no data",
        tuple(Row(n, {"of_flow": share}) for n, share in shares.items()),
    )
