"""What plans of initialisers are made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from weightgen.errors import UsageError
from weightgen.inits.initialiser import Assignment, Fill
from weightgen.inits.plan import why_of
from weightgen.inits.role import Kind, Role, Roles

ON_THE_WAY: tuple[Kind, ...] = ("stem", "hidden", "branch-end", "shortcut", "head")
"""The layers that the signal goes through, without gates, routers and networks of positions."""


def layer(role: Role, rule: str, fill: Fill, why: str = "", **more: Any) -> list[Assignment]:
    """Return what a layer's weight gets, and a bias of 0 where it has one."""
    assignments = [Assignment(role.tensor, rule, why or why_of(role), fill, **more)]
    if role.bias is not None:
        assignments.append(Assignment(role.bias, "0", "bias", zeros))
    return assignments


def zeros(values: Tensor, generator: torch.Generator) -> None:
    """Fill with 0."""
    values.zero_()


def ones(values: Tensor, generator: torch.Generator) -> None:
    """Fill with 1."""
    values.fill_(1.0)


def revived_norm(model: nn.Module, role: Role) -> list[Assignment]:
    """Return a weight of 1 for the norm after a branch's last layer, where that is one of torch's.

    Libraries begin it with 0, so that the branch is 0. Over a layer of zeros it would stay so: neither has a gradient.
    """
    if role.norm is None:
        return []
    norm = model.get_submodule(role.norm.rpartition(".")[0])
    known = nn.modules.batchnorm._NormBase | nn.LayerNorm | nn.GroupNorm | nn.RMSNorm
    return [Assignment(role.norm, "1", "norm of a zero layer", ones)] if isinstance(norm, known) else []


def matrix_of(values: Tensor) -> Tensor:
    """Return the weight of a kernel that has no middle as a matrix (out, fan-in), others as they are; both are views.

    Kernels of even sides are those of patches that do not overlap, which are linear layers on each patch.
    """
    return values.flatten(1) if any(side % 2 == 0 for side in values.shape[2:]) else values


def on_matrix(fill: Callable[[Tensor, torch.Generator], object]) -> Fill:
    """Return a rule for matrices and the middle of kernels that reads kernels without a middle as matrices."""
    return lambda values, generator: fill(matrix_of(values), generator)


def check_structured(method: str, model: nn.Module, roles: Roles) -> None:
    """Raise UsageError where the residual branches of a model are not known."""
    if not roles.structured:
        raise UsageError(
            f"{method} treats the last layer of each residual branch by itself, and {type(model).__name__}'s are not "
            "known:\nits forward pass can be neither traced nor watched. Without structure: he-normal, orthogonal"
        )
