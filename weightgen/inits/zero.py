"""ZerO: weights of zeros and ones, and of Hadamard's matrix where a layer widens."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from weightgen.inits.tensors import by_group, centre_tap, check_weight, check_word

Scale = Literal["notebook", "paper"]


def zero_(weight: Tensor, scale: Scale = "notebook", *, groups: int = 1) -> Tensor:
    """Return the weight (out, in) or (out, in / groups, *kernel), filled by ZerO in place; nothing in it is random.

    out <= in: the identity, eye(out, in). out > in: W[i, j] = c (-1)^popcount(i & j), the first columns and rows of
    Hadamard's matrix of order p = 2^m, m = ceil(log2 out). Convolutions are this matrix in the middle of the kernel,
    and 0 elsewhere; each of `groups` has its own. Biases are 0.

    Two scales circulate. "notebook", of the authors' code: c = 2^(-m/2), with which columns have norm sqrt(out / p), so
    that out = p gives W'W = I. "paper", their algorithm as ports have it: c = 2^(-(m-1)/2), sqrt(2) larger.

    Zhao, Schaefer and Anandkumar, "ZerO Initialization" (TMLR 2022, arXiv 2110.12661); code of
    jiaweizzhao/ZerO-initialization, example_mnist.ipynb. That convolutions have only the middle is the accepted reading
    of the paper's pseudocode.
    Raises UsageError as `check_weight` does, for another scale, and for kernels with an even side.

    >>> zero_(torch.empty(4, 2))
    tensor([[ 0.5000,  0.5000],
            [ 0.5000, -0.5000],
            [ 0.5000,  0.5000],
            [ 0.5000, -0.5000]])
    >>> zero_(torch.empty(2, 3))
    tensor([[1., 0., 0.],
            [0., 1., 0.]])
    """
    check_weight(weight, "zero_")
    check_word("scale", scale, get_args(Scale))
    parts = [centre_tap(part) for part in by_group(weight, groups)]
    with torch.no_grad():
        weight.zero_()
        for part in parts:
            part.copy_(_matrix(part.shape[0], part.shape[1], scale))
    return weight


def _matrix(out: int, into: int, scale: Scale) -> Tensor:
    if out <= into:
        return torch.eye(out, into, dtype=torch.float64)
    order = (out - 1).bit_length()  # ceil(log2 out), with no rounding
    rows, columns = torch.arange(out).unsqueeze(1), torch.arange(into)
    signs = torch.ones(out, into, dtype=torch.float64)
    for bit in range(order):
        signs[(rows >> bit & columns >> bit & 1).bool()] *= -1
    return signs * 2 ** (-(order - (scale == "paper")) / 2)
