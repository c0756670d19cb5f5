"""Gradients and Hessian-vector products of many tasks' losses at once, in chunks, so that memory stays bounded."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from weightgen.inr.field import Tensors

CHUNK = 4096
"""Points at a time, over all tasks, where gradients are kept: activations of 256 columns then stay in a cache."""
Batch = dict[str, Tensor]
"""Observations of T tasks by name, (T, M, ...): dimension 1 counts observations."""
Loss = Callable[[Tensors, Batch], Tensor]
"""Stacked tensors and observations to the mean loss of each task, (T,)."""
Parts = Iterable[tuple[Batch, float]]
"""Observations in chunks, each with its share of the mean."""


def observations(batch: Batch) -> int:
    """Return how many observations each task has."""
    return next(iter(batch.values())).shape[1]


def chunks(batch: Batch, points: int | None = None) -> Parts:
    """Yield parts that evaluate at most `points` points (CHUNK by default) over all tasks, an observation at least."""
    tasks, count, *each = batch["coordinates"].shape[:-1]
    size = max(1, (points or CHUNK) // (tasks * math.prod(each)))
    for first in range(0, count, size):
        part = {name: values[:, first : first + size] for name, values in batch.items()}
        yield part, observations(part) / count


class Derivatives(ABC):
    """Gradients and Hessian-vector products of the losses of T tasks that share nothing."""

    @abstractmethod
    def gradient(self, tensors: Tensors, parts: Parts) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the losses (T,) and each task's gradient, stacked as the tensors are."""

    @abstractmethod
    def hessian_vector(self, tensors: Tensors, parts: Parts, vector: Tensors) -> dict[str, Tensor]:
        """Return each task's Hessian times its vector, stacked as the tensors are."""


class Autograd(Derivatives):
    """Of any loss, by autograd."""

    def __init__(self, loss: Loss) -> None:
        self.loss = loss

    def gradient(self, tensors: Tensors, parts: Parts) -> tuple[Tensor, dict[str, Tensor]]:
        with torch.enable_grad():
            leaves = {name: tensor.detach().requires_grad_() for name, tensor in tensors.items()}
            total: list[Tensor] = []
            losses = torch.zeros(())
            for part, share in _small(parts):
                found = self.loss(leaves, part) * share
                # Tasks share nothing, so the gradient of the sum holds each task's own.
                grads = torch.autograd.grad(found.sum(), list(leaves.values()))
                total = [a.add_(b) for a, b in zip(total, grads, strict=True)] if total else list(grads)
                losses = losses.to(found) + found.detach()
        # Contiguous, as the weights are: torch's fused Adam takes a gradient's entries in the order they lie in memory.
        return losses, {n: t.contiguous() for n, t in zip(leaves, total, strict=True)}

    def hessian_vector(self, tensors: Tensors, parts: Parts, vector: Tensors) -> dict[str, Tensor]:
        with torch.enable_grad():
            leaves = {name: tensor.detach().requires_grad_() for name, tensor in tensors.items()}
            total: list[Tensor] = []
            for part, share in _small(parts):
                first = torch.autograd.grad(
                    self.loss(leaves, part).sum() * share, list(leaves.values()), create_graph=True
                )
                along = torch.stack([(g * vector[n]).sum() for n, g in zip(leaves, first, strict=True)]).sum()
                second = torch.autograd.grad(along, list(leaves.values()), materialize_grads=True)
                total = [a.add_(b) for a, b in zip(total, second, strict=True)] if total else list(second)
        return dict(zip(leaves, total, strict=True))


def _small(parts: Parts) -> Parts:
    for part, share in parts:
        for chunk, portion in chunks(part):
            yield chunk, share * portion
