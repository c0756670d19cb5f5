"""Mirrored ReLU weights: a network that is linear, and isometric, at the start at any depth."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from weightgen.errors import UsageError
from weightgen.inits.tensors import blank, by_group, centre_tap, check_weight, check_word, normal

Ends = Literal["none", "first", "last"]
Kind = Literal["orthogonal", "gaussian"]


def looks_linear_(
    weight: Tensor,
    ends: Ends = "none",
    kind: Kind = "orthogonal",
    generator: torch.Generator | None = None,
    *,
    groups: int = 1,
) -> Tensor:
    """Return the weight, filled in place with the mirrored blocks of one matrix W0, for layers with ReLU between them.

    ends: "none", a layer between two ReLUs: [[W0, -W0], [-W0, W0]], W0 (out/2, in/2). "first", before the first ReLU:
    [W0; -W0], W0 (out/2, in). "last", after the last one: [W0, -W0], W0 (out, in/2). With x = [u+, u-] each layer then
    computes W0 u exactly, so that the network is the product of its W0s. Convolutions have the matrix in the middle of
    the kernel and 0 elsewhere, each of `groups` its own; biases are 0. Weights are tied at the start only.

    kind: "orthogonal", W0 semi-orthogonal; "gaussian", N(0, 1 / columns of W0), which is variance 2 / in of a block.
    Singular values of the network's Jacobian, with square orthogonal W0: all 1 with mirrored ends, which is what to
    use; with a block first and a mirrored last all sqrt(2); with a block in every layer half 2 and half 0.

    Burkholz and Dubatovka, "Initialization of ReLUs for Dynamical Isometry" (NeurIPS 2019), GSM; the structure is that
    of Balduzzi et al., "The Shattered Gradients Problem" (ICML 2017), "looks linear".
    Raises UsageError as `check_weight` does, for widths that are odd where they are mirrored, for kernels with an even
    side, and for other words.

    >>> looks_linear_(torch.empty(2, 2), generator=torch.Generator().manual_seed(0)).abs()
    tensor([[1., 1.],
            [1., 1.]])
    """
    check_weight(weight, "looks_linear_")
    check_word("ends", ends, get_args(Ends))
    check_word("kind", kind, get_args(Kind))
    parts = [centre_tap(part) for part in by_group(weight, groups)]
    rows, columns = parts[0].shape
    if (ends != "last" and rows % 2) or (ends != "first" and columns % 2):
        mirrored = {"none": "out and in", "first": "out", "last": "in"}[ends]
        raise UsageError(
            f"looks_linear_: mirrors {mirrored}, which must be even, found {rows} x {columns}: "
            'mirror the ends of a network with "first" and "last", or make the layer one wider'
        )
    height, width = rows if ends == "last" else rows // 2, columns if ends == "first" else columns // 2
    with torch.no_grad():
        weight.zero_()
        for part in parts:
            half = _matrix(height, width, kind, generator)
            wide = half if ends == "first" else torch.cat([half, -half], 1)
            part.copy_(wide if ends == "last" else torch.cat([wide, -wide]))
    return weight


def _matrix(rows: int, columns: int, kind: Kind, generator: torch.Generator | None) -> Tensor:
    if kind == "gaussian":
        return normal((rows, columns), generator).div_(columns**0.5)
    matrix = blank((rows, columns), generator)
    torch.nn.init.orthogonal_(matrix, generator=generator)
    return matrix
