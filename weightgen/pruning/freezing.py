"""Freezing part of a network where it began: tensors that training leaves as they are."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from torch import nn

from weightgen.errors import UsageError, printable


def first_tensors(sizes: Mapping[str, int], share: float) -> list[str]:
    """Return the names of the first tensors, from the input on, whose share of all parameters is nearest to `share`.

    Raises UsageError for a share outside [0, 1).
    """
    if not 0 <= share < 1:
        raise UsageError(f"freeze: expected a share of at least 0 and below 1, found {share:g}")
    total, done, best = sum(sizes.values()), 0, 0
    distance = share * total
    for i, size in enumerate(sizes.values()):
        done += size
        if abs(done - share * total) < distance:
            best, distance = i + 1, abs(done - share * total)
    return list(sizes)[:best]


def freeze_(model: nn.Module, names: Collection[str]) -> float:
    """Exclude parameters from training, in place; return the share of all parameters that is still trained.

    Optimizers are to be given the rest: weight decay would move a frozen tensor even without a gradient.
    Raises UsageError for a name that the model does not have.
    """
    parameters = dict(model.named_parameters())
    for name in names:
        if name not in parameters:
            raise UsageError(f"freeze: the model has no parameter '{printable(name)}'")
        parameters[name].requires_grad_(False)
    total = sum(p.numel() for p in parameters.values())
    return sum(p.numel() for p in parameters.values() if p.requires_grad) / max(1, total)
