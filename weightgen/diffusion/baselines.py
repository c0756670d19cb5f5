"""What can be said of a concept's weights without a generator: from the collected networks and their prompts alone.

Every function maps prompts to differences from the base, blocks (N, blocks, size). A prompt is the sum of its clauses'
embeddings, each times its strength, (E,).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from weightgen.diffusion.condition import Condition


@dataclass(frozen=True)
class Zoo:
    """Collected networks with their prompts."""

    prompts: Tensor
    """(K, E)."""
    differences: Tensor
    """(K, blocks, size)."""


def features(condition: Condition) -> Tensor:
    """Return prompts as vectors, (N, E): of two that are alike, a stronger one is further from nothing."""
    return (condition.embeddings * condition.strengths.unsqueeze(-1)).sum(1)


def mean(zoo: Zoo, prompts: Tensor) -> Tensor:
    """Return the mean of all networks, whatever is asked for."""
    return zoo.differences.mean(0).expand(len(prompts), *zoo.differences.shape[1:])


def nearest(zoo: Zoo, prompts: Tensor) -> Tensor:
    """Return the network whose prompt is nearest."""
    found: Tensor = zoo.differences[torch.cdist(prompts, zoo.prompts).argmin(1)]
    return found


def blend(zoo: Zoo, prompts: Tensor, neighbours: int = 8, temperature: float = 0.1) -> Tensor:
    """Return the mean of the nearest networks, weighted by softmax(-distance^2 / temperature)."""
    distances, which = torch.cdist(prompts, zoo.prompts).topk(min(neighbours, len(zoo.prompts)), largest=False)
    weights = (-distances.square() / temperature).softmax(1)
    found: Tensor = torch.einsum("nk,nkbs->nbs", weights, zoo.differences[which])
    return found


def noisy(zoo: Zoo, prompts: Tensor, amount: float, generator: torch.Generator) -> Tensor:
    """Return the nearest network with Gaussian noise of `amount` times each block's deviation over the networks."""
    found = nearest(zoo, prompts)
    deviation = zoo.differences.std((0, 2), keepdim=True, correction=0)
    drawn = torch.randn(found.shape, generator=generator) * (found != 0)  # padding stays zero
    return found + amount * deviation * drawn


def ridge(zoo: Zoo, prompts: Tensor, components: int = 64, penalty: float = 0.1) -> Tensor:
    """Return ridge regression from prompts to the networks' principal components.

    `penalty` is relative to the mean square of the prompts' numbers, summed over the networks.
    """
    centre, middle = zoo.differences.flatten(1).mean(0), zoo.prompts.mean(0)
    values, asked = zoo.differences.flatten(1) - centre, zoo.prompts - middle
    rank = min(components, *values.shape)
    u, s, v = torch.linalg.svd(values, full_matrices=False)
    scores = u[:, :rank] * s[:rank]
    gram = asked.T @ asked
    gram += penalty * gram.diagonal().mean() * torch.eye(len(gram))
    slopes = torch.linalg.solve(gram, asked.T @ scores)
    found: Tensor = (prompts - middle) @ slopes @ v[:rank] + centre
    return found.reshape(-1, *zoo.differences.shape[1:])


def ridge_and_nearest(zoo: Zoo, prompts: Tensor, components: int = 64, penalty: float = 0.1) -> Tensor:
    """Return the mean of the two: better than either, since their errors differ."""
    return (ridge(zoo, prompts, components, penalty) + nearest(zoo, prompts)) / 2
