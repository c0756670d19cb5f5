"""Mutual information of a layer with its inputs and with the classes, by bins that adapt to the layer.

Chelombiev, Houghton and O'Donnell, ICLR 2019, arXiv 1902.09037: entropy-based adaptive binning.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from weightgen.diagnostics.measure import Measurement, Probe, Row, Series
from weightgen.diagnostics.readings import classes_of, readings, sample_of
from weightgen.errors import UsageError

BINS = 30


def adaptive_bins(activations: Tensor, bins: int = BINS) -> Tensor:
    """Return the bin of every activation, (N, units) integers: each bin holds as many of the layer's distinct values.

    Edges are shared by the units of a layer. Bins of equal width, the common choice, put nearly everything into one
    where a few values are large. A layer with fewer distinct values than bins has one for each value.
    Raises UsageError for activations that are not float64, in which a saturated tanh still differs from 1, or not (N,
    units), and for less than one bin.
    """
    if activations.dtype != torch.float64 or activations.ndim != 2 or not activations.numel():
        raise UsageError(
            f"activations: expected float64 values (N, units), found {activations.dtype} {list(activations.shape)}: "
            "run the model in double precision, since rounding merges what a saturated layer still tells apart"
        )
    if bins < 1:
        raise UsageError(f"bins: expected at least 1, found {bins}")
    distinct, places = torch.unique(activations, return_inverse=True)
    bins_of: Tensor = places * min(bins, len(distinct)) // len(distinct)
    return bins_of


def entropy(codes: Tensor) -> float:
    """Return the entropy in bits of rows of integers, (N, units), each row of weight 1/N."""
    counts = torch.unique(codes, dim=0, return_counts=True)[1].double()
    return max(0.0, float(torch.special.entr(counts / len(codes)).sum()) / math.log(2))


def information_about_inputs(activations: Tensor, bins: int = BINS) -> float:
    """Return I(X;T) in bits, X being uniform over the N inputs: between 0 (constant layer) and log2 N (injective).

    Without noise T is a function of X, so that I(X;T) = H(T). Raises as `adaptive_bins` does.
    """
    return entropy(adaptive_bins(activations, bins))


def information_about_classes(activations: Tensor, classes: Tensor, bins: int = BINS) -> float:
    """Return I(T;Y) = H(T) - sum_y p(y) H(T|y) in bits, classes being (N,) integers; at most I(X;T) and H(Y).

    Raises as `adaptive_bins` does, and UsageError for classes of another length.
    """
    if classes.shape != activations.shape[:1]:
        raise UsageError(f"classes: expected one for each of {len(activations)} inputs, found {list(classes.shape)}")
    codes = adaptive_bins(activations, bins)
    within = 0.0
    for label in torch.unique(classes):
        own = codes[classes == label]
        within += len(own) / len(codes) * entropy(own)
    return max(0.0, entropy(codes) - within)


def information(probe: Probe) -> Measurement:
    """Return I(X;T) of what each layer reads, and I(T;Y) where the batch has classes; found in double precision.

    Raises UsageError for a model without layers.
    """
    classes = classes_of(probe)
    rows = []
    for name, values in readings(probe.double()).items():
        row = {"about_inputs": information_about_inputs(values)}
        if classes is not None:
            row["about_classes"] = information_about_classes(values, classes)
        rows.append(Row(name, row))
    most = math.log2(probe.items)
    course = tuple(row.values["about_inputs"] for row in rows)
    worst = min(rows, key=lambda row: row.values["about_inputs"])
    kept = f"every layer tells all {probe.items} items apart"
    lost = f"{worst.layer} tells {worst.values['about_inputs']:.3g} of {most:.3g} bits of the items"
    return Measurement(
        "information",
        {f"outputs_{key}": value for key, value in rows[-1].values.items()}
        | {"smallest": min(course), "possible": most},
        kept if min(course) > most - 1e-9 else lost,
        sample_of(probe),
        tuple(rows),
        (Series("information about the inputs (bits)", "layer", course),),
    )
