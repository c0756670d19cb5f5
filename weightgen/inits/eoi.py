"""EOI: weights that are sparse and exactly orthogonal, by rotating pairs of columns until they are dense enough."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from weightgen.errors import UsageError
from weightgen.inits.tensors import by_group, centre_tap, check_positive, check_weight, device_of


def eoi_(
    weight: Tensor,
    density: float,
    sigma: float = 1.0,
    generator: torch.Generator | None = None,
    *,
    more_nonzeros: bool = False,
    groups: int = 1,
) -> Tensor:
    """Return the weight (out, in), filled in place with sigma times a sparse semi-orthogonal matrix.

    The identity of (min, max) of both sizes; then columns i and j and an angle t are drawn, and these become
    (cos t c_i + sin t c_j, cos t c_j - sin t c_i), until `density`, the fraction of non-zeros, is reached. Of the last
    two matrices the one nearer to it is kept: a rotation adds min(out, in) non-zeros at most, so that the density is
    within 1/2 / max(out, in). A tall weight is the transpose: W'W or WW', whichever is smaller, is sigma^2 I.

    A convolution (out, in / groups, *kernel) has such a matrix in the middle of the kernel and 0 elsewhere, each of
    `groups` its own. The matrix has `density`, or with `more_nonzeros` min(density x positions, sqrt(density)), the
    authors' option for convolutions; `eoi_mask` brings the whole kernel to `density`. Biases are 0, or normal of
    sigma_b: tanh is critical at sigma = 1.0247 and sigma_b = .00448.

    Nowak et al., "Sparser, Better, Deeper, Stronger: Improving Static Sparse Training with Exact Orthogonal
    Initialization" (ICML 2024, arXiv 2406.01755); code of woocash2/sparser-better-deeper-stronger. Non-zeros are
    counted as they appear: a rotation takes O(min(out, in)), not O(out x in).
    Raises UsageError as `check_weight` does, for a sigma that is not positive, a density outside [1 / max(out, in), 1]
    (below it the authors' code returns the identity), and for kernels with an even side.

    >>> weight = eoi_(torch.empty(4, 8), density=0.5, generator=torch.Generator().manual_seed(0))
    >>> bool(torch.allclose(weight @ weight.T, torch.eye(4), atol=1e-6))
    True
    >>> abs(int(weight.count_nonzero()) / 32 - 0.5) <= 1 / 8
    True
    """
    check_weight(weight, "eoi_")
    check_positive("sigma", sigma)
    parts = [centre_tap(part) for part in by_group(weight, groups)]
    rows, columns = parts[0].shape
    positions = weight[0, 0].numel()
    own = min(density * positions, math.sqrt(density)) if more_nonzeros and density > 0 else density
    if not 1 / max(rows, columns) <= own * (1 + 1e-9) or not density <= 1:
        raise UsageError(
            f"density: an orthogonal matrix of {rows} x {columns} has one between 1/{max(rows, columns)} and 1, "
            f"found {own:g}: ask for one of these, or leave the layer dense"
        )
    seed = int(torch.randint(2**62, (), generator=generator, device=device_of(generator)))
    numbers = np.random.default_rng(seed)
    with torch.no_grad():
        weight.zero_()
        for part in parts:
            matrix = _rotated(min(rows, columns), max(rows, columns), own, numbers) * sigma
            part.copy_(torch.from_numpy(matrix.T if rows <= columns else matrix))
    return weight


def eoi_mask(weight: Tensor, density: float, generator: torch.Generator | None = None) -> Tensor:
    """Return the mask of a weight that `eoi_` made, as booleans of its shape: what may be trained.

    Of a matrix, and of a kernel of one position, it is the non-zeros. Of a larger kernel random zeros join them until a
    fraction of `density` of all elements is in (Nowak et al. 2024, "unfreezing"); their weights stay 0 at the start.
    Raises UsageError as `check_weight` does and for a density outside (0, 1].

    >>> weight = eoi_(torch.empty(4, 4, 3, 3), density=0.5, generator=torch.Generator().manual_seed(0))
    >>> int(eoi_mask(weight, 0.5).sum())  # of 144
    72
    """
    check_weight(weight, "eoi_mask")
    if not 0 < density <= 1:
        raise UsageError(f"density: expected more than 0 and at most 1, found {density:g}")
    mask = weight.detach() != 0
    if weight[0, 0].numel() > 1:
        zeros = (~mask).flatten().nonzero().flatten()
        missing = max(0, round(density * weight.numel()) - int(mask.sum()))
        order = torch.randperm(len(zeros), generator=generator, device=device_of(generator)).to(zeros.device)
        mask.view(-1)[zeros[order[:missing]]] = True
    return mask


def erk_densities(shapes: Sequence[Sequence[int]], density: float) -> list[float]:
    """Return the density of each layer, from the shapes of their weights, so that all together have `density`.

    Erdos-Renyi-Kernel: proportional to (out + in + sides of the kernel) / (out x in x positions), at most 1; where a
    layer would be above 1 it is dense, and the others share what is left.
    Evci et al., "Rigging the Lottery" (ICML 2020), section 3; Mocanu et al. 2018 for matrices.
    Raises UsageError for no shapes, for those with less than two sizes or a size of 0, and a density outside (0, 1].

    >>> [round(d, 4) for d in erk_densities([(300, 784), (100, 300), (10, 100)], 0.1)]
    [0.0796, 0.2302, 1.0]
    """
    if not shapes or any(len(shape) < 2 or min(shape) < 1 for shape in shapes):
        raise UsageError("shapes: expected at least one, each (out, in) or (out, in, *kernel) with sizes above 0")
    if not 0 < density <= 1:
        raise UsageError(f"density: expected more than 0 and at most 1, found {density:g}")
    sizes = [math.prod(shape) for shape in shapes]
    dense: set[int] = set()
    while len(dense) < len(shapes):
        rest = [i for i in range(len(shapes)) if i not in dense]
        share = (density * sum(sizes) - sum(sizes[i] for i in dense)) / sum(sum(shapes[i]) for i in rest)
        full = {i for i in rest if share * sum(shapes[i]) >= sizes[i]}
        if not full:
            return [1.0 if i in dense else share * sum(shapes[i]) / sizes[i] for i in range(len(shapes))]
        dense |= full
    return [1.0] * len(shapes)


def _rotated(short: int, long: int, density: float, numbers: np.random.Generator) -> np.ndarray:
    """Return a float64 matrix (long, short) with orthonormal columns; its rows, contiguous, are what is rotated."""
    matrix = np.eye(long, short)
    count, wanted = short, density * short * long
    while count < wanted:
        i, j = int(numbers.integers(long)), int(numbers.integers(long - 1))
        pair = [i, j + (j >= i)]
        angle = numbers.uniform(0, 2 * math.pi)
        before = matrix[pair]
        after = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]]) @ before
        added = int(np.count_nonzero(after)) - int(np.count_nonzero(before))
        if count + added >= wanted and count + added - wanted > wanted - count:
            break
        matrix[pair] = after
        count += added
    return matrix
