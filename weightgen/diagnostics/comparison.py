"""Comparing a model with another of the same architecture: a start and what was trained from it, or two trainings."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from weightgen.diagnostics.measure import Cost, Measurement, Probe
from weightgen.diagnostics.probing import settle


@dataclass(frozen=True)
class Comparison:
    """A way of comparing two models."""

    function: Callable[[Probe, Probe], Measurement]
    """Of the model compared with, a start, and of the model itself, on the same batch. Raises UsageError, a reason in
    few words, for models that it does not apply to."""
    paper: str
    says: str
    """What a reader learns from it, in a line."""
    cost: Cost


def losses_between(before: Probe, after: Mapping[str, Tensor], shares: Sequence[float]) -> list[float]:
    """Return the loss at (1 - a) before + a after for each share a; at 0 and 1 exactly that of the two ends.

    `after`: parameters by name; other tensors are those of `before`. Statistics of batch norms are found anew on the
    batch at each point: those of the ends belong to no point between them. Raises UsageError where there is no loss.
    """
    probe = replace(before, model=copy.deepcopy(before.model))
    start = before.parameters()
    found = []
    for share in shares:
        with torch.no_grad():
            for name, parameter in probe.model.named_parameters():
                parameter.copy_(torch.lerp(start[name], after[name].to(start[name]), share))
            found.append(float(settle(probe).mean_loss()))
    return found
