"""Whether neurons turn towards the classes before they grow, as they do from a small initialisation.

Min, Mallada and Vidal, "Early neuron alignment in two-layer ReLU networks with small initialization", ICLR 2024,
arXiv 2307.12851.
"""

from __future__ import annotations

import torch
from torch import Tensor

from weightgen.diagnostics.measure import Measurement, Probe, Row
from weightgen.diagnostics.readings import classes_of, readings
from weightgen.errors import UsageError


def neuron_alignment(weight: Tensor, inputs: Tensor, classes: Tensor) -> Tensor:
    """Return the cosines of neurons with the mean input of each class, (neurons, classes).

    `weight` (neurons, ...) of the first layer, `inputs` (N, ...) of as many numbers, `classes` (N,) integers. Early in
    training from small weights each neuron's largest goes to 1, or its smallest to -1; from large ones they stay
    spread.
    Raises UsageError for sizes that do not agree.
    """
    rows, items = weight.flatten(1), inputs.flatten(1).to(weight.dtype)
    if rows.shape[1] != items.shape[1] or classes.shape != inputs.shape[:1]:
        raise UsageError(
            f"alignment: expected inputs of {rows.shape[1]} numbers with a class each, found {list(inputs.shape)} and "
            f"classes {list(classes.shape)}"
        )
    means = torch.stack([items[classes == label].mean(0) for label in torch.unique(classes)])
    return torch.nn.functional.normalize(rows, dim=1) @ torch.nn.functional.normalize(means, dim=1).T


def stable_rank(weight: Tensor) -> float:
    """Return |W|_F^2 / |W|_2^2 of a weight (out, ...), between 1 and the rank; 0 for a weight of zeros."""
    matrix = weight.detach().flatten(1).double()
    matrix = matrix if len(matrix) <= matrix.shape[1] else matrix.T
    largest = float(torch.linalg.eigvalsh(matrix @ matrix.T)[-1])  # far quicker than a decomposition of the weight
    return float(matrix.square().sum()) / largest if largest > 0 else 0.0


def alignment(probe: Probe) -> Measurement:
    """Return the stable rank of each layer's weight, and how far the first layer's neurons point at a class.

    The second only of a batch with classes, and of a first layer that reads all numbers of an item. Raises UsageError
    for a model without layers.
    """
    classes, (first, inputs) = classes_of(probe), next(iter(readings(probe).items()))
    weight = probe.model.get_parameter(f"{first}.weight").detach()
    ranks = {name: stable_rank(w) for name, w in probe.weights().items()}
    numbers = {"stable_rank_of_first": stable_rank(weight), "smallest_stable_rank": min(ranks.values())}
    reading = f"the first layer's weight has stable rank {numbers['stable_rank_of_first']:.3g}"
    if classes is not None and weight[0].numel() == inputs.shape[1]:
        cosines = neuron_alignment(weight, inputs, classes).abs().amax(1)
        numbers["cosine_with_nearest_class"] = float(cosines.median())
        reading += f", and its neurons a cosine of {float(cosines.median()):.2g} with the class nearest to them"
    rows = tuple(Row(name.removesuffix(".weight"), {"stable_rank": rank}) for name, rank in ranks.items())
    return Measurement("alignment", numbers, reading, f"{probe.items} items", rows)
