"""The identity as a fully connected or convolutional layer in the Poincare ball."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from weightgen.errors import UsageError
from weightgen.inits.tensors import check_positive, check_weight, fan_in


def poincare_identity_(weight: Tensor) -> Tensor:
    """Return the weight (out, in) of a Poincare layer, filled in place with half an identity; its biases r are 0.

    Rows are the normals z_k of the hyperplanes of `poincare_linear`: z_k = e_k / 2. A matrix with out >= in then maps
    every point of the ball to itself, exactly (with zeros after it where out > in). A convolution's kernel is eye(out,
    positions x in) / 2 on the unfolded patch, channel by channel as torch.nn.functional.unfold has it: output k reads
    entry k of the patch, so that it is not the identity of the middle pixel.

    Van Spengler, Berkhout and Mettes, "Poincare ResNet" (ICCV 2023), section on identity initialisation; code of
    maxvanspengler/poincare-resnet.
    Raises UsageError as `check_weight` does, and for matrices with out < in, which have no identity.

    >>> poincare_identity_(torch.empty(2, 2))
    tensor([[0.5000, 0.0000],
            [0.0000, 0.5000]])
    """
    check_weight(weight, "poincare_identity_")
    out, into = len(weight), fan_in(weight)
    if weight.ndim == 2 and out < into:
        raise UsageError(
            f"poincare_identity_: {out} x {into} has no identity: expected a square matrix, or one with out above in"
        )
    with torch.no_grad():
        return weight.copy_(torch.eye(out, into, dtype=torch.float64).div(2).reshape(weight.shape))


def poincare_linear(x: Tensor, weight: Tensor, c: float = 1.0) -> Tensor:
    """Return a fully connected layer without biases in the Poincare ball of curvature -c: (..., in) to (..., out).

    The weight is (out, in), or a kernel that x holds unfolded patches for.
    v_k = 2 |z_k| / sqrt(c) asinh(sqrt(c) lambda <x, z_k> / |z_k|), w = sinh(sqrt(c) v) / sqrt(c) and
    y = w / (1 + sqrt(1 + c |w|^2)), z_k being row k of the weight and lambda = 2 / (1 - c |x|^2) the conformal factor.
    (The published code has 2 (1 - c |x|^2), with which the identity is none.) A row of zeros gives 0.

    Ganea et al. 2018; Shimizu, Mukuta and Harada, "Hyperbolic Neural Networks++" (ICLR 2021, arXiv 2006.08210), its
    Poincare fully connected layer.
    Raises UsageError for a c that is not positive and for points that are not inside the ball, |x| < 1 / sqrt(c).

    >>> x = torch.tensor([[0.3, -0.6]])
    >>> poincare_linear(x, poincare_identity_(torch.empty(2, 2)))
    tensor([[ 0.3000, -0.6000]])
    """
    check_positive("c", c)
    squares = c * x.square().sum(-1, keepdim=True)
    if not bool((squares < 1).all()):
        largest = math.sqrt(float(squares.max() / c))
        raise UsageError(f"x: expected points of norm below {1 / math.sqrt(c):g} (c = {c:g}), found {largest:g}")
    root = math.sqrt(c)
    weight = weight.flatten(1)
    norms = weight.norm(dim=1)
    directions = weight / norms.clamp_min(torch.finfo(weight.dtype).tiny).unsqueeze(1)
    v = 2 * norms / root * torch.asinh(root * 2 / (1 - squares) * (x @ directions.T))
    w = torch.sinh(root * v) / root
    return w / (1 + torch.sqrt(1 + c * w.square().sum(-1, keepdim=True)))
