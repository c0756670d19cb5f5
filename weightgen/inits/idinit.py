"""IDInit: padded identities, and weights next to zero that leave no unit dead."""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from torch import Tensor

from weightgen.errors import UsageError
from weightgen.inits.tensors import by_group, check_positive, check_weight, check_word, fan_in, normal

Order = Literal["paper", "torch"]


def idinit_(
    weight: Tensor,
    tau: float = 1.0,
    loose: float = 0.0,
    generator: torch.Generator | None = None,
    *,
    order: Order = "paper",
    groups: int = 1,
) -> Tensor:
    """Return the weight, filled in place with IDI_tau, or IDIC_tau where it is a convolution's.

    IDI: W[i, j] = tau where j = i mod in, else 0. An out > in repeats the identity down the rows; an out < in leaves
    the last columns 0. `loose` adds N(0, loose), a variance, of 1e-6 in the paper, to every element: ties between
    repeated rows then break without momentum's help. Nothing is random where it is 0.

    IDIC reads a convolution's weight (out, in / groups, *kernel) as a matrix (out, positions x in / groups)
    ("patch-maintain"): it is not an identity map, and output i reads entry i of the flattened patch. `order` is that of
    the patch: "paper", channels vary fastest, so that the first in / groups outputs read the kernel's first position;
    "torch", the kernel's positions vary fastest, as in the one public port. Each of `groups` has its own matrix.
    Biases are 0.

    tau is 1 as in the paper's models; for ReLU reviewers quote 1/2 and many take sqrt(2), and it is documented nowhere.
    Pan et al., "IDInit" (ICLR 2025, arXiv 2503.04626): IDI, the loose condition, patch-maintain convolutions.
    Raises UsageError as `check_weight` does, for a tau that is not positive, a loose below 0 and another order.

    >>> idinit_(torch.empty(5, 2)).T
    tensor([[1., 0., 1., 0., 1.],
            [0., 1., 0., 1., 0.]])
    >>> idinit_(torch.empty(2, 4), tau=0.5)
    tensor([[0.5000, 0.0000, 0.0000, 0.0000],
            [0.0000, 0.5000, 0.0000, 0.0000]])
    """
    check_weight(weight, "idinit_")
    check_positive("tau", tau)
    check_word("order", order, get_args(Order))
    if not 0 <= loose < math.inf:
        raise UsageError(f"loose: expected a variance of 0 or more, found {loose:g}")
    with torch.no_grad():
        for part in by_group(weight, groups):
            matrix = _identity(part.shape[0], fan_in(part), tau)
            if loose:
                matrix += normal(matrix.shape, generator).to(matrix) * math.sqrt(loose)
            part.copy_(_kernel(matrix, part, order))
    return weight


def idinit_zero_(weight: Tensor, eps: float = 1e-6, *, order: Order = "paper", groups: int = 1) -> Tensor:
    """Return the weight, filled in place with IDIZ_eps, or IDIZC_eps: for the last layer of a residual branch.

    IDI_eps, and one -eps in every row. out >= in: W[i, (i + 1) mod in] = -eps. out < in: the columns from `out` on are
    IDI_(-eps) of shape (out, in - out). Rows add up to 0, so that constant inputs map to 0 and |W x| <= 2 eps max |x|,
    and yet every unit has a gradient. Convolutions, `order` and `groups` as in `idinit_`.

    Pan et al., "IDInit" (ICLR 2025, arXiv 2503.04626): IDIZ, against dead neurons.
    Raises UsageError as `check_weight` does, for an eps that is not positive, another order, and a fan-in of 1, which
    has no room for both.

    >>> idinit_zero_(torch.empty(2, 5), eps=1.0)
    tensor([[ 1.,  0., -1.,  0.,  0.],
            [ 0.,  1.,  0., -1.,  0.]])
    >>> idinit_zero_(torch.empty(3, 2), eps=1.0)
    tensor([[ 1., -1.],
            [-1.,  1.],
            [ 1., -1.]])
    """
    check_weight(weight, "idinit_zero_")
    check_positive("eps", eps)
    check_word("order", order, get_args(Order))
    if fan_in(weight) == 1:
        raise UsageError("idinit_zero_: a fan-in of 1 has no room for +eps and -eps: use torch.nn.init.zeros_")
    with torch.no_grad():
        for part in by_group(weight, groups):
            out, into = part.shape[0], fan_in(part)
            matrix = _identity(out, into, eps)
            if out < into:
                matrix[:, out:] = _identity(out, into - out, -eps)
            else:
                rows = torch.arange(out)
                matrix[rows, (rows + 1) % into] = -eps
            part.copy_(_kernel(matrix, part, order))
    return weight


def _identity(out: int, into: int, value: float) -> Tensor:
    matrix = torch.zeros(out, into, dtype=torch.float64)
    rows = torch.arange(out)
    matrix[rows, rows % into] = value
    return matrix


def _kernel(matrix: Tensor, weight: Tensor, order: Order) -> Tensor:
    """Return a matrix (out, fan-in) in the shape of the weight."""
    out, channels, *kernel = weight.shape
    if order == "torch":
        return matrix.reshape(weight.shape)
    return matrix.reshape(out, *kernel, channels).movedim(-1, 1)
