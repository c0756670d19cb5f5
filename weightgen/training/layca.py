"""Layca: every kernel turns by the same angle at each step, and keeps its norm.

Carbonnelle and De Vleeschouwer, "Layer rotation: a surprisingly simple indicator of generalization in deep networks?",
2018, arXiv 1806.01603.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor


class Layca(torch.optim.Optimizer):
    """Gradient descent whose steps are made tangential to each kernel and as long as the kernel.

    A kernel is a parameter of two dimensions or more. Its gradient loses its part along the kernel w, is scaled to |w|,
    and w - lr * step is scaled back to |w|: tan(angle) = lr, whatever the gradient's size. Vectors, and kernels of
    zeros, which have no direction, take plain steps of the same rate; the authors' code leaves vectors untrained.
    Nothing is remembered from step to step.
    """

    def __init__(self, parameters: Iterable[Tensor], lr: float) -> None:
        super().__init__(parameters, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """Take one step; returns the loss where a closure finds it."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    turn_(parameter, parameter.grad, group["lr"])
        return loss


def turn_(weight: Tensor, gradient: Tensor, rate: float) -> None:
    """Turn a kernel against its gradient by the angle atan(rate), in place, its norm kept; a vector takes a plain step.

    A kernel whose gradient has no part beside it, or is zero, stays as it is.
    """
    norm = weight.norm()
    if weight.ndim < 2 or not float(norm):
        weight.sub_(gradient, alpha=rate)
        return
    tangent = gradient - weight * ((weight * gradient).sum() / norm**2)
    length = tangent.norm()
    if not float(length):
        return
    weight.sub_(tangent * (rate * norm / length))
    weight.mul_(norm / weight.norm())
