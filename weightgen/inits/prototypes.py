"""Prototype heads: a classifier whose rows are the centres of what its features cluster into.

"Towards Calibrated Deep Clustering Network" (CDC), as its code has it (ChengJianH/CDC, cdc/methods/calibrate_train.py).
"""

from __future__ import annotations

import warnings

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from weightgen.errors import InputError, UsageError
from weightgen.inits.tensors import check_weight

RESTARTS = 10  # of k-means, of which the tightest is kept
SCALE, RATE, MOMENTUM, DECAY = 5.0, 0.1, 0.9, 1e-4  # of the orthogonalising fit, as in the authors' code


def standardised(features: Tensor) -> Tensor:
    """Return features (samples, width), each sample z-scored over its own entries and then scaled to norm 1, float64.

    A row w that sums to 0, as centres of such features do, gives w . x the same order among rows for the features x as
    they are: z-scoring subtracts from all rows the same and divides by a positive number.

    Raises UsageError for another shape, InputError for samples that are constant or not finite.

    >>> standardised(torch.tensor([[1.0, 2.0, 3.0]]))
    tensor([[-0.7071,  0.0000,  0.7071]], dtype=torch.float64)
    """
    if features.ndim != 2 or features.shape[1] < 2 or not features.is_floating_point():
        raise UsageError(
            f"features: expected floating numbers (samples, width), found {features.dtype} {list(features.shape)}"
        )
    centred = features.detach().double().cpu()
    centred = centred - centred.mean(1, keepdim=True)
    sizes = centred.norm(dim=1, keepdim=True)
    wrong = ~(sizes.isfinite() & (sizes > 0)).flatten()
    if bool(wrong.any()):
        first = int(wrong.nonzero()[0])
        raise InputError(
            f"features: sample {first} is constant or not finite ({int(wrong.sum())} such): it has no z-scores"
        )
    scores: Tensor = centred / sizes
    return scores


def prototypes(features: Tensor, count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return `count` prototypes (count, width), rows of norm 1 in float64, and the cluster of each sample (samples,).

    k-means++ of the `standardised` features, the best of 10 restarts. The mean of unit vectors is shorter than 1: the
    centres are scaled to norm 1 here, which the authors leave to their fit, so that no cluster is preferred for being
    tight. Rows sum to 0.

    Raises UsageError and InputError as `standardised` does, UsageError for fewer distinct samples than prototypes.

    >>> found, labels = prototypes(torch.tensor([[1.0, 0.0], [2.0, 0.1], [0.0, 1.0]]), 2)
    >>> found.norm(dim=1), bool(labels[0] == labels[1])
    (tensor([1., 1.], dtype=torch.float64), True)
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    points = standardised(features).numpy()
    if not 1 <= count <= len(points):
        raise UsageError(f"count: expected 1 to {len(points)} prototypes, the number of samples, found {count}")
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        try:
            fitted = KMeans(count, n_init=RESTARTS, random_state=seed).fit(points)
        except ConvergenceWarning as error:
            raise UsageError(
                f"features: expected at least {count} distinct samples. Ask for fewer prototypes"
            ) from error
    centres = torch.from_numpy(fitted.cluster_centers_)
    return centres / centres.norm(dim=1, keepdim=True), torch.from_numpy(fitted.labels_.astype(np.int64))


def prototype_(weight: Tensor, features: Tensor, seed: int = 0, orthogonalise: int = 0) -> Tensor:
    """Return a head's weight (classes, width), filled in place with the prototypes of features (samples, width).

    Biases are to be 0. The head's argmax over its classes is then the nearest prototype by angle, which is the k-means
    cluster where clusters are apart. `orthogonalise` steps of `orthogonalised` follow, 2000 in the authors' code.
    Their two-layer heads are two calls: `prototype_(first.weight, f)`, then `prototype_(second.weight, h)` with h
    what first, norm and ReLU make of f.

    Raises UsageError as `check_weight` does, for a weight that is no matrix or of another width, and as `prototypes`.

    >>> head = torch.nn.Linear(2, 2)
    >>> features = torch.tensor([[1.0, 0.0], [2.0, 0.1], [0.0, 1.0]])
    >>> torch.allclose(prototype_(head.weight, features).norm(dim=1), torch.ones(2))
    True
    """
    check_weight(weight, "prototype_")
    if weight.ndim != 2 or features.ndim != 2 or weight.shape[1] != features.shape[1]:
        raise UsageError(
            f"prototype_: the head {list(weight.shape)} does not read features {list(features.shape)}: "
            "expected (classes, width) and (samples, width)"
        )
    rows, _ = prototypes(features, len(weight), seed)
    with torch.no_grad():
        return weight.copy_(orthogonalised(rows, orthogonalise) if orthogonalise else rows)


def orthogonalised(rows: Tensor, steps: int = 2000) -> Tensor:
    """Return rows (count, width) moved apart, towards a simplex: cosines of -1 / (count - 1) between all pairs.

    Cross-entropy of 5 cos(relu(z_i), w_j) against i, over w and z, which both begin as the rows; SGD with momentum 0.9,
    weight decay 1e-4 and a rate that falls from 0.1 to 0 on a cosine. Nothing in it is random. What comes out has no
    unit norm, and rows no longer sum to 0. Raises UsageError for fewer than one step.

    >>> apart = functional.normalize(orthogonalised(torch.tensor([[1.0, 0.9], [0.9, 1.0]]), steps=200))
    >>> float(apart[0] @ apart[1]) < 0.5
    True
    """
    if steps < 1:
        raise UsageError(f"steps: expected at least 1, found {steps}")
    with torch.enable_grad():
        free, moved = (rows.detach().clone().requires_grad_() for _ in range(2))
        optimizer = torch.optim.SGD([free, moved], lr=RATE, momentum=MOMENTUM, weight_decay=DECAY)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        own = torch.arange(len(rows), device=rows.device)
        for _ in range(steps):
            angles = functional.normalize(free.relu()) @ functional.normalize(moved).T
            optimizer.zero_grad()
            functional.cross_entropy(SCALE * angles, own).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    return moved.detach()
