"""The empirical neural tangent kernel, by sums of logits or in full, and how far training moved it.

Mohamadi, Bae and Sutherland 2023, "A fast, well-founded approximation to the empirical neural tangent kernel", for the
sum of logits. How near it is to the full kernel depends on the parametrisation: the relative error of K (x) I falls
as width^-1/2 where weights are N(0, 1) and layers divide by sqrt(fan-in), faster in the one that libraries use.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import jacrev

from weightgen.diagnostics.measure import Measurement, Probe, Series, Tensors, gradients
from weightgen.errors import UsageError

ITEMS = 32
HELD = 1 << 28
"""Numbers held at a time: 1 GB of float32. Gradients of larger models are compared for fewer items."""
FULL = 64
"""Outputs in all of the largest full kernel: a backward pass each."""


def sum_of_logits_kernel(probe: Probe) -> Tensor:
    """Return K(x, x') = <grad s(x), grad s(x')>, s = sum_o f_o / sqrt(O), (items, items) in float64.

    Equal to (1/O) sum over o and o' of the full kernel. All but the first dimension of the outputs are summed over.
    """

    def summed(single: Probe) -> Callable[[Tensors], Tensor]:
        def total(tensors: Tensors) -> Tensor:
            found = single.outputs(tensors)
            return found.sum() / math.sqrt(found.numel())

        return total

    rows = [gradients(summed(single), single.parameters()) for single in probe.singles()]
    return _products([list(row.values()) for row in rows])


def full_kernel(probe: Probe) -> Tensor:
    """Return Theta(x, x')_{oo'} = <grad f_o(x), grad f_o'(x')>, (items, outputs, items, outputs) in float64.

    Raises UsageError where items times outputs are more than FULL.
    """
    with torch.no_grad():
        count = probe.take(1).outputs().numel()
    if count * probe.items > FULL:
        raise UsageError(f"the full kernel of {probe.items} items and {count} outputs: {FULL} in all at most")
    names = probe.parameters()
    rows: list[list[Tensor]] = []
    for single in probe.singles():
        found = jacrev(lambda tensors, single=single: single.outputs(tensors).flatten())(names)
        rows += [[found[name][o].detach() for name in names] for o in range(count)]
    return _products(rows).view(probe.items, count, probe.items, count)


def kernel_alignment(one: Tensor, other: Tensor) -> float:
    """Return the cosine of two kernels, <K, K'> / (|K| |K'|): 1 where training was lazy, less where it was rich.

    Both (n, n), of the same items before and after training. Raises UsageError for other shapes, or a kernel of zeros.
    """
    if one.shape != other.shape:
        raise UsageError(f"kernels of the same items are compared, found shapes {[*one.shape]} and {[*other.shape]}")
    norms = float(one.norm()) * float(other.norm())
    if norms == 0:
        raise UsageError("a kernel of zeros has no direction")
    return float((one * other).sum()) / norms


def kernel(probe: Probe) -> Measurement:
    """Return eigenvalues and condition of the kernel by sums of logits; raises UsageError for a kernel of zeros."""
    size = sum(t.numel() for t in probe.parameters().values())
    used = probe.take(max(2, min(ITEMS, HELD // max(size, 1))))
    values = torch.linalg.eigvalsh(sum_of_logits_kernel(used)).flip(0).clamp(min=0)
    largest, smallest = float(values[0]), float(values[-1])
    if not 0 < largest < math.inf:
        raise UsageError("the outputs have no gradient, or none that is finite")
    condition = largest / smallest if smallest > 0 else math.inf
    share = largest / float(values.sum())
    return Measurement(
        "kernel",
        {"largest": largest, "smallest": smallest, "condition": condition, "share_of_largest": share},
        f"the largest of {len(values)} eigenvalues holds {share:.0%} of the trace, condition {condition:.3g}",
        f"{used.items} of {probe.items} items, outputs summed",
        series=(Series("eigenvalue of the tangent kernel", "index", tuple(values.tolist()), log=True),),
    )


def _products(rows: list[list[Tensor]]) -> Tensor:
    """Return the inner products of gradients, each a list of tensors, added up tensor by tensor in float64."""
    total = torch.zeros(len(rows), len(rows), dtype=torch.float64)
    for parts in zip(*rows, strict=True):
        flat = torch.stack([p.flatten() for p in parts])
        total += (flat @ flat.T).double().cpu()
    return total
