"""Sharpness: the largest eigenvalue of the loss's Hessian.

By Lanczos iterations (scipy's eigsh) on products with the Hessian. Power iteration would find the eigenvalue that is
largest in size, which at a start is often a negative one.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh
from torch import Tensor

from weightgen.diagnostics.measure import Measurement, Probe
from weightgen.errors import UsageError

ITEMS = 8
TOLERANCE = 1e-3
"""Relative, of the eigenvalue."""
ROUNDS = 30
"""Restarts of eigsh, about ten products each."""


def hessian_product(probe: Probe) -> tuple[Callable[[Tensor], Tensor], Tensor]:
    """Return v -> Hv of the mean loss, and the gradient, both over all parameters flattened on end.

    The gradient's graph is built once and kept while the function is. Parameters that the loss does not depend on
    have rows of zeros. Raises UsageError without a loss.
    """
    leaves = {n: p.requires_grad_() for n, p in probe.parameters().items()}
    values = list(leaves.values())
    with torch.enable_grad():
        slopes = torch.autograd.grad(
            probe.mean_loss(leaves), values, create_graph=True, allow_unused=True, materialize_grads=True
        )

    def product(vector: Tensor) -> Tensor:
        pieces = torch.split(vector, [p.numel() for p in values])
        parts = [piece.view_as(p) for piece, p in zip(pieces, values, strict=True)]
        bent = torch.autograd.grad(slopes, values, parts, retain_graph=True, allow_unused=True, materialize_grads=True)
        return _flat(bent)

    return product, _flat([s.detach() for s in slopes])


def largest_eigenvalue(
    product: Callable[[Tensor], Tensor], like: Tensor, seed: int, tolerance: float = TOLERANCE
) -> tuple[float, int]:
    """Return the largest eigenvalue of a symmetric operator on vectors like `like`, and how many products that took.

    The largest by its sign, not in size. Raises UsageError where it is not found within ROUNDS restarts, or a product
    is not finite.
    """
    made = 0

    def times(vector: np.ndarray) -> np.ndarray:
        nonlocal made
        made += 1
        found = product(torch.from_numpy(vector).to(like)).double().cpu().numpy()
        if not np.isfinite(found).all():
            raise UsageError("products with the Hessian are not finite")
        return found

    size = like.numel()
    if size == 1:  # for which eigsh is not made
        return float(times(np.ones(1))[0]), made
    first = np.random.default_rng(seed).standard_normal(size)
    operator = LinearOperator((size, size), matvec=times, dtype=np.float64)
    try:
        found = eigsh(
            operator,
            1,
            which="LA",
            v0=first,
            ncv=min(20, size),
            tol=tolerance,
            maxiter=ROUNDS,
            return_eigenvectors=False,
        )
    except ArpackNoConvergence as error:
        raise UsageError(f"the largest eigenvalue did not settle in {made} products with the Hessian") from error
    return float(found[0]), made


def sharpness(probe: Probe) -> Measurement:
    """Return lambda_1 at the start and the rate of gradient descent up to which that direction is stable."""
    used = probe.take(ITEMS)
    product, slope = hessian_product(used)
    value, made = largest_eigenvalue(product, slope, probe.seed)
    stable = 2 / value if value > 0 else float("inf")
    return Measurement(
        "sharpness",
        {"largest_eigenvalue": value, "stable_rate": stable, "gradient_norm": float(slope.double().norm())},
        f"largest curvature {value:.3g}: along it gradient descent is stable up to a rate of {stable:.3g}",
        f"{used.items} of {probe.items} items, {made} products",
    )


def _flat(tensors: list[Tensor] | tuple[Tensor, ...]) -> Tensor:
    return torch.cat([t.reshape(-1) for t in tensors])
