"""Maxout: weights that keep the mean square of activations that are the largest of several numbers."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from weightgen.errors import UsageError
from weightgen.inits.gain import expectation
from weightgen.inits.tensors import check_weight, fan_in, fill


def maxout_constant(pieces: int) -> float:
    """Return c_K = 1 / E max(z_1, ..., z_K)^2 of K independent normal numbers: 1, 1, .783905, .644609, .555549, ...

    c_3 = 1 / (1 + sqrt(3) / (2 pi)) and c_4 = 1 / (1 + sqrt(3) / pi). By quadrature, the largest of K having the
    density K Phi^(K-1) phi. Tseran and Montufar, "Expected Gradients of Maxout Networks" (ICML 2023).
    Raises UsageError for fewer than one piece.

    >>> round(maxout_constant(5), 6)
    0.555549
    """
    if pieces < 1:
        raise UsageError(f"pieces: expected 1 or more, found {pieces}")
    return 1 / expectation(lambda z: pieces * torch.special.ndtr(z) ** (pieces - 1) * z.square())


def maxout_(weight: Tensor, pieces: int, pool: int = 1, generator: torch.Generator | None = None) -> Tensor:
    """Return the weight (pieces x units, in) or (pieces x units, in, *kernel), drawn in place from N(0, c_K / fan_in).

    Its outputs are taken in groups of `pieces` of which the largest goes on; `in` is the units of the layer before, not
    its pieces x units. Before a max-pool of p x p, `pool` = p, K is pieces p^2. The last, linear layer has 1 piece, and
    c = 1. What stays the same through depth, on average over weights, is the mean square of activations, not their
    variance: their mean is above 0. Biases are 0.

    Tseran and Montufar, "Expected Gradients of Maxout Networks" (ICML 2023, arXiv 2301.06956); code of
    hanna-tseran/maxout_expected_gradients, training/training.py.
    Raises UsageError as `check_weight` does, for fewer than one piece or pool, and where out is no multiple of pieces.

    >>> weight = maxout_(torch.empty(500, 100), pieces=5, generator=torch.Generator().manual_seed(0))
    >>> round(float(weight.var()) * 100, 2)
    0.56
    """
    check_weight(weight, "maxout_")
    if pool < 1:
        raise UsageError(f"pool: expected 1 or more, found {pool}")
    constant = maxout_constant(pieces * pool**2)
    if len(weight) % pieces:
        raise UsageError(f"pieces: expected a divisor of the {len(weight)} outputs, found {pieces}")
    return fill(weight, math.sqrt(constant / fan_in(weight)), generator)
