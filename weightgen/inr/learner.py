"""Meta-learning by gradients: MAML, FOMAML and Reptile as one module whose backward pass is the meta-gradient."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from weightgen.inr.derivatives import Batch, Derivatives, Parts
from weightgen.inr.field import Field, Tensors
from weightgen.inr.fitting import derivatives_of, evaluator, stacked
from weightgen.inr.signals.kind import Kind

Gradient = Literal["maml", "fomaml", "reptile"]
Stack = dict[str, Tensor]


@dataclass(frozen=True)
class Inner:
    """The inner loop: gradient descent from the start, with one rate or with learned ones."""

    steps: int
    rate: float
    learned: bool
    """Rates of each tensor and step are learned (Meta-SGD, Li et al. 2017, per tensor as in MetaSDF)."""
    first: float | None = None
    """Rate of the first layer, where its frequency is so high that the others' would tear it apart."""


class MetaLearner(torch.nn.Module):
    """A field's start and, where they are learned, its inner rates.

    Called with {"steps": observations (T, steps + 1, M, ...)} it returns the tasks' losses after adaptation, (T,);
    their backward pass gives the start the meta-gradient. Called with {"fitted", "judged"} it returns the metric of
    the adapted fields, (T,). No graph is kept over inner steps: second derivatives are Hessian-vector products along
    the path, so memory does not grow with observations, and with steps only by a copy of the weights each.
    """

    def __init__(self, field: Field, kind: Kind, inner: Inner, algorithm: Gradient, psnr: bool = False) -> None:
        """`psnr`: average the logarithm of the tasks' losses, so that easy and hard signals weigh the same."""
        super().__init__()
        self.field, self.kind, self.inner, self.algorithm, self.psnr = field, kind, inner, algorithm, psnr
        firsts = [inner.first is not None and name.startswith("net.0.") for name, _ in field.named_parameters()]
        rates = torch.tensor([math.log(inner.first if is_first and inner.first else inner.rate) for is_first in firsts])
        self.log_rates = torch.nn.Parameter(rates.repeat(inner.steps, 1), requires_grad=inner.learned)

    def forward(self, batch: dict[str, Batch]) -> Tensor:
        if "judged" in batch:
            return self._score(batch["fitted"], batch["judged"])
        parts, derivatives = batch["steps"], self.derivatives()
        path: list[tuple[Tensors, Tensors]] = []
        start: Tensors = stacked(self.field, len(next(iter(parts.values()))))
        tensors = start
        for step in range(self.inner.steps):
            losses, grads = derivatives.gradient(tensors, _part(parts, step))
            path.append((tensors, grads))
            tensors = self.moved(tensors, grads, step)
        if self.algorithm == "reptile":  # asks for no gradient where it ends: its loss is that before the last step
            outer = {n: start[n] - tensors[n] for n in tensors}
            rates = torch.zeros_like(self.log_rates)
        else:
            losses, outer = derivatives.gradient(tensors, _part(parts, self.inner.steps))
            weights = 1 / losses.clamp_min(1e-8) if self.psnr else torch.ones_like(losses)
            outer = {n: g * _as(weights, g) for n, g in outer.items()}
            outer, rates = self._back(parts, path, outer)
        return _with_gradient(losses, [*self.field.parameters(), self.log_rates], [*outer.values(), rates])

    @property
    def passes(self) -> int:
        """Passes over a task's observations that its meta-gradient costs: a gradient three, a Hessian product six."""
        steps = self.inner.steps
        return {"reptile": 3 * steps, "fomaml": 3 * steps + 3, "maml": 9 * steps + 3}[self.algorithm]

    def derivatives(self) -> Derivatives:
        """Return what computes gradients and Hessian-vector products."""
        return derivatives_of(self.field, self.kind)

    def _score(self, fitted: Batch, judged: Batch) -> Tensor:
        """Return the kind's metric after the inner steps, (T,)."""
        tensors: Tensors = stacked(self.field, len(next(iter(fitted.values()))))
        for step in range(self.inner.steps):
            tensors = self.moved(tensors, self.derivatives().gradient(tensors, [(fitted, 1.0)])[1], step)
        return self.kind.score(evaluator(self.field, tensors), judged)

    def moved(self, tensors: Tensors, grads: Tensors, step: int) -> Tensors:
        """Return the tensors after one inner step."""
        rates = self.log_rates.detach()[step].exp().tolist()
        return {n: torch.add(tensors[n], grads[n], alpha=-r) for n, r in zip(tensors, rates, strict=True)}

    def _back(self, parts: Batch, path: list[tuple[Tensors, Tensors]], outer: Stack) -> tuple[Stack, Tensor]:
        """Carry the outer gradient back along the path to the start; also return that of the log rates.

        theta' = theta - a * grad L(theta) has the transposed Jacobian I - H diag(a), H the Hessian at theta (Finn et
        al. 2017, section 5.2). FOMAML takes H as zero.
        """
        names, changes, derivatives = list(outer), [], self.derivatives()
        for step in reversed(range(len(path))):
            tensors, grads = path[step]
            rates = self.log_rates.detach()[step].exp()
            changes.append(-rates * torch.stack([(outer[n] * grads[n]).sum() for n in names]))
            if self.algorithm == "maml":
                scaled = {n: outer[n] * r for n, r in zip(names, rates, strict=True)}
                bent = derivatives.hessian_vector(tensors, _part(parts, step), scaled)
                outer = {n: outer[n] - bent[n] for n in names}
        found = torch.stack(changes[::-1]) if changes else torch.zeros_like(self.log_rates)
        return outer, found


def _part(batch: Batch, step: int) -> Parts:
    return [({name: values[:, step] for name, values in batch.items()}, 1.0)]


def _as(weights: Tensor, like: Tensor) -> Tensor:
    return weights.view(-1, *([1] * (like.ndim - 1)))


def _with_gradient(losses: Tensor, parameters: list[torch.nn.Parameter], grads: list[Tensor]) -> Tensor:
    """Return the losses (T,) such that the backward pass of their mean gives parameters the mean of (T, ...) grads."""
    tasks = len(losses)
    hung = torch.zeros((), device=losses.device, dtype=losses.dtype)
    for parameter, found in zip(parameters, grads, strict=True):
        if parameter.requires_grad:
            total = found if found.shape == parameter.shape else found.sum(0)
            hung = hung + (parameter * total.detach()).sum() / tasks
    return losses.detach() + (hung - hung.detach())
