"""How far from Gaussian the outputs of a finitely wide network are, over draws of its initial weights.

Antognini, "Finite size corrections for neural network Gaussian processes", 2019, arXiv 1908.10030.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from weightgen.diagnostics.measure import Measurement, Probe
from weightgen.errors import UsageError

ITEMS = 4
DRAWS = 500
NODES = 100  # of the quadrature: even, so that none is at 0, where ReLU has its kink
FOURTH: dict[str, float] = {"normal": 3.0, "uniform": 9 / 5}
"""E v^4 / (E v^2)^2 of the output weights."""


def excess_kurtosis(outputs: Tensor) -> Tensor:
    """Return E (f - E f)^4 / (E (f - E f)^2)^2 - 3 over the first dimension, draws of the weights: 0 for a Gaussian.

    `outputs`: (draws, ...), found in float64. Over R draws its own error is about sqrt(24 / R).
    Raises UsageError for fewer than two draws, or outputs that do not vary over them.
    """
    if len(outputs) < 2:
        raise UsageError(f"excess kurtosis: expected at least two draws of the weights, found {len(outputs)}")
    spread = outputs.double() - outputs.double().mean(0)
    variance = spread.square().mean(0)
    if not bool((variance > 0).all()):
        raise UsageError("excess kurtosis: an output is the same for all draws of the weights (a head of zeros?)")
    return spread.pow(4).mean(0) / variance.square() - 3


def kurtosis_of_one_layer(
    activation: Callable[[Tensor], Tensor],
    width: int,
    weights: Literal["normal", "uniform"] = "normal",
    sigma: float = 1.0,
) -> float:
    """Return ((E v^4 E phi^4) / (E v^2 E phi^2)^2 - 3) / width, the excess kurtosis of one hidden layer's outputs.

    The preactivations are N(0, sigma^2), the output weights v normal or uniform: with ReLU 15 / width and 7.8 / width.
    It falls as 1 / width, and is exact at every width, as the hidden units of a draw are independent.
    """
    nodes, shares = np.polynomial.hermite_e.hermegauss(NODES)
    values = activation(torch.from_numpy(nodes) * sigma).double()
    found = torch.from_numpy(shares / shares.sum())
    second, fourth = float((found * values.square()).sum()), float((found * values.pow(4)).sum())
    return (FOURTH[weights] * fourth / second**2 - 3) / width


def outputs_of_draws(probe: Probe, draws: int = DRAWS) -> Tensor:
    """Return the outputs, (draws, items, ...), with the entries of each weight put into another random order each time.

    Weights drawn independently are as likely in any order, so that this draws them anew and needs to know neither their
    distribution nor who initialised them; of structured ones (orthogonal, identities) it drops the structure. Biases,
    norms and embeddings stay.
    """
    generator, weights = probe.generator(), probe.weights()
    found = []
    with torch.no_grad():
        for _ in range(draws):
            orders = {n: torch.randperm(w.numel(), generator=generator).to(w.device) for n, w in weights.items()}
            shuffled = {n: w.flatten()[orders[n]].view_as(w) for n, w in weights.items()}
            found.append(probe.outputs(shuffled).double())
    return torch.stack(found)


def gaussianity(probe: Probe) -> Measurement:
    """Return the excess kurtosis of the outputs over random orders of the weights' entries; 0 in the limit of width.

    Raises UsageError for outputs that do not vary, as those of a head of zeros do not.
    """
    probe = probe.take(ITEMS)
    kurtosis = excess_kurtosis(outputs_of_draws(probe)).flatten()
    mean, error = float(kurtosis.mean()), math.sqrt(24 / DRAWS)
    far = f"{abs(mean):.2g} from Gaussian in kurtosis"
    return Measurement(
        "gaussianity",
        {"excess_kurtosis": mean, "error_of_one_output": error},
        f"over draws of the weights outputs are {far if abs(mean) > error else 'Gaussian as far as can be told'}",
        f"{probe.items} items, {kurtosis.numel()} outputs, {DRAWS} draws",
    )
