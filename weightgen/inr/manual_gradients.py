"""Derivatives of perceptrons under squared error, written out: half the time of autograd, whose graphs leave the cache.

Backpropagation, and for Hessian-vector products Pearlmutter's R-operator (1994), forward over reverse. With direction
(V, c) for (W, b): R{z} = R{h} W' + h V' + c and R{h} = f'(z) R{z}; on the way back the same product rule.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import repeat

import torch
from torch import Tensor

from weightgen.inr.config import FieldConfig
from weightgen.inr.derivatives import Batch, Derivatives, Parts
from weightgen.inr.field import Field, Tensors, encode, gaussian
from weightgen.inr.signals.kind import Kind

ROWS = 1024  # points at a time: what a layer then needs fits into a core's cache
FEW = 16  # columns of a matrix that products take for none
NARROW = 512  # columns of a layer up to which that is so; of wider ones fewer points
ACTIVATIONS = ("sine", "finer", "gauss", "relu")


@dataclass(frozen=True)
class Passed:
    """What a forward pass leaves for the way back, of N points."""

    inputs: list[Tensor]
    """Of every layer, the output layer included, (N, fan-in)."""
    slopes: list[Tensor]
    """f'(z) of every hidden layer, (N, fan-out)."""
    bends: list[Tensor]
    """f''(z) of every hidden layer; empty where nobody asked."""


class ByHand(Derivatives):
    """Gradients and Hessian-vector products of a field with real layers under mean squared error."""

    def __init__(self, field: Field) -> None:
        self.field, self.config = field, field.config
        self.rows = max(1, ROWS * NARROW // max(NARROW, field.config.hidden))

    @staticmethod
    def serves(field: Field, kind: Kind) -> bool:
        """Whether a field and its kind's loss are of the form that is written out here."""
        plain = type(kind).predict is Kind.predict and type(kind).loss is Kind.loss
        return plain and field.config.activation in ACTIVATIONS and field.config.output == "linear"

    def gradient(self, tensors: Tensors, parts: Parts) -> tuple[Tensor, dict[str, Tensor]]:
        first = next(iter(tensors.values()))
        workers = _workers(first)
        totals = [_zeros(tensors) for _ in range(workers)]
        losses = torch.zeros(workers, len(first), dtype=first.dtype, device=first.device)

        def work(worker: int, task: int, x: Tensor, y: Tensor, weight: float) -> None:
            own, into = _of(tensors, task), _of(totals[worker], task)
            losses[worker, task] += self._gradient(own, into, x, y, weight)

        _spread(parts, workers, self.rows, work)
        return losses.sum(0), _summed(totals)

    def hessian_vector(self, tensors: Tensors, parts: Parts, vector: Tensors) -> dict[str, Tensor]:
        workers = _workers(next(iter(tensors.values())))
        totals = [_zeros(tensors) for _ in range(workers)]

        def work(worker: int, task: int, x: Tensor, y: Tensor, weight: float) -> None:
            self._product(_of(tensors, task), _of(vector, task), _of(totals[worker], task), x, y, weight)

        _spread(parts, workers, self.rows, work)
        return _summed(totals)

    def _gradient(self, own: Tensors, into: Mapping[str, Tensor], x: Tensor, y: Tensor, weight: float) -> Tensor:
        """Add the gradient of `weight` times the mean squared error over some points; return that loss."""
        passed = self._forward(own, x.reshape(-1, x.shape[-1]))
        difference = _averaged(self._output(own, passed), x) - y
        delta = _shared(difference * (2 * weight / difference.numel()), x)
        for layer in reversed(range(len(passed.inputs))):
            into[f"net.{layer}.weight"].addmm_(delta.T, passed.inputs[layer])
            into[f"net.{layer}.bias"].add_(delta.sum(0))
            if layer:
                delta = torch.mm(delta, own[f"net.{layer}.weight"]).mul_(passed.slopes[layer - 1])
        return difference.square().mean() * weight

    def _product(
        self, own: Tensors, along: Tensors, into: Mapping[str, Tensor], x: Tensor, y: Tensor, weight: float
    ) -> None:
        """Add the product of the Hessian of `weight` times the mean squared error over some points."""
        passed = self._forward(own, x.reshape(-1, x.shape[-1]), bends=True)
        moved: list[Tensor | None] = [None]  # R{h}: the coordinates do not move
        changes: list[Tensor] = []  # R{z}
        for layer in range(len(passed.inputs)):
            w, v, c = own[f"net.{layer}.weight"], along[f"net.{layer}.weight"], along[f"net.{layer}.bias"]
            change = torch.addmm(c, passed.inputs[layer], v.T)
            h = moved[-1]
            changes.append(change if h is None else change.addmm_(h, w.T))
            if layer < len(passed.slopes):
                moved.append(passed.slopes[layer] * change)
        scale = 2 * weight / y.numel()
        delta = _shared((_averaged(self._output(own, passed), x) - y) * scale, x)
        turned = _shared(_averaged(changes[-1], x) * scale, x)  # R{delta}
        for layer in reversed(range(len(passed.inputs))):
            h = moved[layer]
            into[f"net.{layer}.weight"].addmm_(turned.T, passed.inputs[layer])
            into[f"net.{layer}.bias"].add_(turned.sum(0))
            if h is not None:
                into[f"net.{layer}.weight"].addmm_(delta.T, h)
            if layer:
                w, v = own[f"net.{layer}.weight"], along[f"net.{layer}.weight"]
                slope, bend = passed.slopes[layer - 1], passed.bends[layer - 1]
                back = torch.mm(delta, w)
                turned = torch.mm(turned, w).addmm_(delta, v).mul_(slope)
                turned.addcmul_(bend.mul_(changes[layer - 1]), back)
                delta = back.mul_(slope)

    def _forward(self, own: Tensors, x: Tensor, bends: bool = False) -> Passed:
        config = self.config
        passed = Passed([encode(config.encoding, x, getattr(self.field.encoding, "B", None))], [], [])
        for layer in range(config.hidden_layers):
            z = _affine(own, layer, passed.inputs[-1])
            omega = config.first_frequency if layer == 0 else config.frequency
            value, slope, bend = activated(config, omega, z, bends)
            passed.inputs.append(value)
            passed.slopes.append(slope)
            if bend is not None:
                passed.bends.append(bend)
        return passed

    def _output(self, own: Tensors, passed: Passed) -> Tensor:
        last = self.config.hidden_layers
        found = _affine(own, last, passed.inputs[-1])
        return found.add_(self.config.offset) if self.config.offset else found


def activated(config: FieldConfig, omega: float, z: Tensor, bends: bool) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return f(z), f'(z) and, where wanted, f''(z), as autograd has them (FINER's factor |z| + 1 held constant).

    `z` may be overwritten.
    """
    if config.activation in ("sine", "finer"):
        factor = omega * (z.abs() + 1) if config.activation == "finer" else None
        phase = z.mul_(omega if factor is None else factor)
        value, slope = torch.sin(phase), phase.cos_()
        if factor is None:
            return value, slope.mul_(omega), value * -(omega**2) if bends else None
        return value, slope.mul_(factor), -factor.square_().mul_(value) if bends else None
    if config.activation == "gauss":
        square = config.spread**2
        value = gaussian(z.square().mul_(square))
        bend = (4 * square**2 * z.square()).sub_(2 * square).mul_(value) if bends else None
        return value, z.mul_(-2 * square).mul_(value), bend
    return torch.relu(z), (z > 0).to(z.dtype), torch.zeros_like(z) if bends else None


Piece = tuple[int, Tensor, Tensor, float]
"""Task, coordinates (N, inputs) or of several points each (N, S, inputs), values (N, outputs), share of the mean."""


def _pieces(part: Batch, share: float, rows: int) -> Iterator[Piece]:
    """Yield pieces of so many points."""
    coordinates, values = part["coordinates"], part["values"]
    tasks, count, *each = coordinates.shape[:-1]
    rows = max(1, rows // math.prod(each))
    for task in range(tasks):
        for first in range(0, count, rows):
            x, y = coordinates[task, first : first + rows], values[task, first : first + rows]
            yield task, x, y, share * len(x) / count


def _averaged(found: Tensor, x: Tensor) -> Tensor:
    """Return the means of observations that look at several points: (N S, outputs) to (N, outputs)."""
    return found.view(*x.shape[:2], -1).mean(1) if x.ndim == 3 else found


def _shared(delta: Tensor, x: Tensor) -> Tensor:
    """Return what each point has of an observation's gradient: (N, outputs) to (N S, outputs)."""
    return (delta / x.shape[1]).repeat_interleave(x.shape[1], 0) if x.ndim == 3 else delta


def _workers(like: Tensor) -> int:
    return torch.get_num_threads() if like.device.type == "cpu" else 1


def _spread(parts: Parts, workers: int, rows: int, work: Callable[[int, int, Tensor, Tensor, float], None]) -> None:
    """Do the work of all pieces on threads of one core each: products of this size are too small to share among cores.

    Which worker gets which piece depends on their number alone, so sums come out the same every time.
    """

    def some(worker: int, pieces: list[Piece]) -> None:
        with torch.no_grad():  # holds for one thread
            for piece in pieces[worker::workers]:
                work(worker, *piece)

    if workers == 1:
        for part, share in parts:
            some(0, list(_pieces(part, share, rows)))
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(workers) as pool:
            for part, share in parts:
                list(pool.map(some, range(workers), repeat(list(_pieces(part, share, rows)))))
    finally:
        torch.set_num_threads(before)


def _affine(own: Tensors, layer: int, x: Tensor) -> Tensor:
    weight = own[f"net.{layer}.weight"].T
    # Of a few rows and many columns: products with those of a matrix that lies the other way take three times as long.
    return torch.addmm(own[f"net.{layer}.bias"], x, weight.contiguous() if len(weight) < FEW else weight)


def _zeros(tensors: Tensors) -> dict[str, Tensor]:
    """Return sums to add to; those of a few columns lie column by column, which makes products ten times as fast."""
    found = {}
    for name, like in tensors.items():
        narrow = like.ndim > 2 and like.shape[-1] < FEW
        shape = (*like.shape[:-2], like.shape[-1], like.shape[-2]) if narrow else like.shape
        zeros = torch.zeros(shape, dtype=like.dtype, device=like.device)
        found[name] = zeros.transpose(-1, -2) if narrow else zeros
    return found


def _summed(totals: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    first, *others = totals
    for other in others:
        for name, value in first.items():
            value.add_(other[name])
    # As the weights lie: torch's fused Adam takes a gradient's entries in the order that they have in memory.
    return {name: value.contiguous() for name, value in first.items()}


def _of(tensors: Tensors, task: int) -> dict[str, Tensor]:
    return {name: tensor[task] for name, tensor in tensors.items()}
