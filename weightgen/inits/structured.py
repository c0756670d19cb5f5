"""Rules that treat the ends of residual branches by themselves: ZerO and IDInit; and sparse weights layer by layer."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from weightgen.inits.eoi import eoi_, eoi_mask, erk_densities
from weightgen.inits.idinit import idinit_, idinit_zero_
from weightgen.inits.initialiser import Assignment, Options
from weightgen.inits.role import Role, Roles
from weightgen.inits.rules import ON_THE_WAY, check_structured, layer, matrix_of, on_matrix, revived_norm, zeros
from weightgen.inits.zero import zero_


class ZeroOptions(Options):
    """Options of zero."""

    scale: Literal["notebook", "paper"] = Field(
        "notebook", description="Of Hadamard's matrix: the authors' code, or their algorithm's, sqrt(2) larger."
    )


class IdinitOptions(Options):
    """Options of idinit."""

    tau: float = Field(1.0, gt=0, description="Value of the identities.")
    eps: float = Field(1e-6, gt=0, description="Value in the last layers of branches.")
    loose: float = Field(1e-6, ge=0, description="Variance of the noise that breaks ties.")
    order: Literal["paper", "torch"] = Field("paper", description="Order in which a convolution's patch is read.")


class EoiOptions(Options):
    """Options of eoi."""

    density: float = Field(0.1, gt=0, le=1, description="Share of weights that are not masked, in all layers together.")
    sigma: float = Field(1.0, gt=0, description="Factor of the orthogonal matrices.")


def plan_zero(model: nn.Module, roles: Roles, options: ZeroOptions) -> list[Assignment]:
    """Return ZerO's matrices, and 0 for the last layer of each residual branch.

    Raises UsageError where the branches of the model are not known.
    """
    check_structured("zero", model, roles)
    assignments = []
    for role in roles.of(*ON_THE_WAY):
        if role.kind == "branch-end":
            assignments += layer(role, "0", zeros) + revived_norm(model, role)
        else:
            fill = on_matrix(lambda values, _: zero_(values, options.scale))
            assignments += layer(role, f"ZerO, {options.scale}", fill)
    return assignments


def plan_idinit(model: nn.Module, roles: Roles, options: IdinitOptions) -> list[Assignment]:
    """Return padded identities, patch-maintained in convolutions, and IDIZ for the last layer of each residual branch.

    Raises UsageError where the branches of the model are not known.
    """
    check_structured("idinit", model, roles)

    def identity(values: Tensor, generator: torch.Generator) -> None:
        idinit_(values, options.tau, options.loose, generator, order=options.order)

    def almost_zero(values: Tensor, generator: torch.Generator) -> None:
        if values[0].numel() == 1:
            values.zero_()  # one input has no room for +eps and -eps
        else:
            idinit_zero_(values, options.eps, order=options.order)

    assignments = []
    for role in roles.of(*ON_THE_WAY):
        if role.kind == "branch-end":
            assignments += layer(role, f"IDIZ, {options.eps:g}", almost_zero) + revived_norm(model, role)
        else:
            assignments += layer(role, f"IDI, {options.tau:g}", identity)
    return assignments


def plan_eoi(model: nn.Module, roles: Roles, options: EoiOptions) -> list[Assignment]:
    """Return sparse orthogonal weights and their masks, with ERK's density for each layer.

    A density below one entry for each row or column, the least that is orthogonal, is raised to that.
    """
    chosen = roles.of(*ON_THE_WAY)
    shapes = dict(model.named_parameters())
    densities = erk_densities([_unstacked(role, shapes[role.tensor]) for role in chosen], options.density)
    return [a for role, density in zip(chosen, densities, strict=True) for a in _sparse(role, density, options.sigma)]


def _sparse(role: Role, density: float, sigma: float) -> list[Assignment]:
    def fill(values: Tensor, generator: torch.Generator) -> None:
        matrix = matrix_of(values)
        eoi_(matrix, max(density, 1 / max(matrix.shape[:2])), sigma, generator)

    def mask(values: Tensor, generator: torch.Generator) -> Tensor:
        return eoi_mask(matrix_of(values), density, generator).view_as(values)

    return layer(role, f"EOI, density {density:.3f}", fill, mask=mask)


def _unstacked(role: Role, weight: Tensor) -> torch.Size:
    return weight.shape[1:] if role.stacked else weight.shape
