"""Parameters that training may not move: frozen ones, and those of which a mask holds some entries."""

from __future__ import annotations

from collections.abc import Collection

from torch import Tensor, nn

from weightgen.errors import UsageError, printable


def kept_of(parameter: Tensor) -> Tensor | None:
    """Return the booleans that a parameter is held to, None where there are none."""
    found: Tensor | None = getattr(parameter, "kept", None)
    return found


def hold_(parameter: nn.Parameter, kept: Tensor) -> None:
    """Let no gradient reach what a mask of the parameter's shape leaves out, for as long as the parameter lasts."""

    def masked(gradient: Tensor) -> Tensor:
        return gradient * kept.to(gradient.device)

    parameter.register_hook(masked)  # type: ignore[no-untyped-call]
    parameter.kept = kept  # type: ignore[attr-defined]


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
