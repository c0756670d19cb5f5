"""Diffusion spectral entropy of a layer's activations, and their mutual information with classes.

Liao, Liu et al., CISS 2024, arXiv 2312.04823. Written here in a few lines: the authors' package may not be used
commercially, and silences every warning of the process that imports it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from weightgen.diagnostics.measure import Measurement, Probe, Row, Series
from weightgen.diagnostics.readings import classes_of, readings, sample_of
from weightgen.errors import UsageError

SIGMA = 0.25  # of the data's scale: points at one distance from each other keep e^-8 of their affinity
SUBSAMPLES = 5


def scale_of(points: Tensor) -> float:
    """Return the root mean square distance between two of the points, (N, D), in their own units; 0 if all are one."""
    if points.ndim != 2 or len(points) < 2:
        raise UsageError(f"points: expected at least two rows, (N, D), found {list(points.shape)}")
    centred = points.double() - points[:1].double()  # equal points give exactly 0 then
    spread = centred - centred.mean(0)
    return math.sqrt(2 * float(spread.square().sum()) / (len(points) - 1))


def diffusion_spectral_entropy(points: Tensor, sigma: float, power: float = 1.0) -> float:
    """Return the entropy in bits of the diffusion matrix' eigenvalues |l|^power / sum; between 0 and log2 N.

    The affinities G = exp(-d^2 / (2 sigma^2)) of N points, (N, D), are normalised once: K = D^-1/2 G D^-1/2 with the
    degrees D, which has the eigenvalues of the random walk D^-1 G. Equal points have 0 bits, N points that are far
    apart in units of sigma log2 N, k tight clusters log2 k. sigma is in the units of the points: the authors keep 10,
    so that the result follows the scale of the weights; a multiple of `scale_of(points)` does not.
    Raises UsageError for points that are no (N, D), or a sigma that is not positive.
    """
    if points.ndim != 2 or not len(points):
        raise UsageError(f"points: expected (N, D), found {list(points.shape)}")
    if not 0 < sigma < math.inf:
        raise UsageError(f"sigma: expected a positive number, found {sigma:g}")
    points = points.double()
    distances = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")
    affinity = torch.exp(-distances.square() / (2 * sigma**2))
    degree = affinity.sum(1).rsqrt()
    values = torch.linalg.eigvalsh(degree[:, None] * affinity * degree).abs().pow(power)
    shares = values / values.sum()
    return max(0.0, float(torch.special.entr(shares).sum()) / math.log(2))


def diffusion_spectral_information(
    points: Tensor, classes: Tensor, sigma: float, power: float = 1.0, seed: int = 0
) -> float:
    """Return sum_b p(b) (entropy of n_b random points - entropy of the n_b points of class b), in bits.

    `points` (N, D), `classes` (N,) integers. The entropy of so many points of any class is the mean of 5 subsamples
    drawn by the seed: entropy grows with the number of points, so that all N cannot stand for n_b.
    Raises as `diffusion_spectral_entropy` does, and UsageError for classes of another length.
    """
    if classes.shape != points.shape[:1]:
        raise UsageError(f"classes: expected one for each of {len(points)} points, found {list(classes.shape)}")
    generator = torch.Generator().manual_seed(seed)
    found = 0.0
    for label in torch.unique(classes):
        own = points[classes == label]
        drawn = [points[torch.randperm(len(points), generator=generator)[: len(own)]] for _ in range(SUBSAMPLES)]
        among_all = sum(diffusion_spectral_entropy(d, sigma, power) for d in drawn) / SUBSAMPLES
        found += len(own) / len(points) * (among_all - diffusion_spectral_entropy(own, sigma, power))
    return found


def entropy(probe: Probe) -> Measurement:
    """Return the diffusion spectral entropy of what each layer reads, and its information about the classes, if known.

    sigma is a quarter of each layer's own `scale_of`, so that neither units nor the scale of the weights matter.
    Raises UsageError for a probe of one item, or a model without layers.
    """
    if probe.items < 2:
        raise UsageError("needs at least two items, and the probe has one")
    classes = classes_of(probe)
    rows = []
    for name, values in readings(probe).items():
        sigma = SIGMA * scale_of(values)
        row = {"entropy": diffusion_spectral_entropy(values, sigma) if sigma else 0.0}
        if classes is not None:
            told = diffusion_spectral_information(values, classes, sigma, seed=probe.seed) if sigma else 0.0
            row["information"] = told
        rows.append(Row(name, row))
    most = math.log2(probe.items)
    last = rows[-1].values
    numbers = {f"{key}_of_outputs": value for key, value in last.items()}
    return Measurement(
        "entropy",
        {**numbers, "entropy_of_inputs": rows[0].values["entropy"], "possible": most},
        f"the outputs keep {last['entropy']:.3g} of {most:.3g} bits that tell {probe.items} items apart",
        sample_of(probe),
        tuple(rows),
        (Series("diffusion spectral entropy (bits)", "layer", tuple(row.values["entropy"] for row in rows)),),
    )
