"""Low rank at equal norm: weights that begin in few directions, for learning that is less lazy."""

from __future__ import annotations

import torch
from torch import Tensor

from weightgen.errors import InputError, UsageError
from weightgen.inits.tensors import by_group, check_weight, fan_in


def low_rank_(weight: Tensor, rank: int, *, groups: int = 1) -> Tensor:
    """Return the weight, its matrix (out, fan-in) replaced in place by its truncated SVD, rescaled to the norm it had.

    U_r S_r V_r' |S| / |S_r|: rank exactly r, to rounding, and the Frobenius norm that the weight came with, so that
    only the shape of the spectrum changes. Draw the weight first, as another initialiser has it. Each of `groups` of a
    convolution has its own matrix.

    Liu, Baratin, Cornford, Mihalas, Shea-Brown and Lajoie, "How connectivity structure shapes rich and lazy learning in
    neural circuits" (ICLR 2024), low-rank initialisation through SVD.
    Raises UsageError as `check_weight` does and for a rank below 1 or above what the weight has (zeros have rank 0),
    and InputError for a weight with values that are not finite.

    >>> weight = torch.randn(6, 8, generator=torch.Generator().manual_seed(0))
    >>> before = float(weight.norm())
    >>> int(torch.linalg.matrix_rank(low_rank_(weight, 2))), abs(float(weight.norm()) / before - 1) < 1e-6
    (2, True)
    """
    check_weight(weight, "low_rank_")
    parts = by_group(weight, groups)
    most = min(len(parts[0]), fan_in(weight))
    if not 1 <= rank <= most:
        raise UsageError(f"rank: expected 1 to {most}, found {rank}")
    if not bool(torch.isfinite(weight).all()):
        raise InputError("low_rank_: the weight has values that are not finite")
    with torch.no_grad():
        found = [_truncated(part.flatten(1), rank) for part in parts]
        for part, matrix in zip(parts, found, strict=True):
            part.copy_(matrix.reshape(part.shape))
    return weight


def _truncated(matrix: Tensor, rank: int) -> Tensor:
    left, values, right = torch.linalg.svd(matrix.double(), full_matrices=False)
    rounding = min(torch.finfo(matrix.dtype).eps, torch.finfo(torch.float32).eps)  # half precision would hide any rank
    least = values[0] * max(matrix.shape) * rounding
    own = int((values > least).sum())
    if own < rank:
        raise UsageError(f"rank: the weight has rank {own}, which is below {rank}: draw it at random first")
    kept = values[:rank] * (values.norm() / values[:rank].norm())
    truncated: Tensor = left[:, :rank] * kept @ right[:rank]
    return truncated
