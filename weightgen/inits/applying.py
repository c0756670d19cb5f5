"""Carrying out a plan: each tensor's values, from a generator of its own, in place."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from weightgen.errors import UsageError, printable
from weightgen.inits.initialiser import Assignment
from weightgen.inits.plan import InitPlan
from weightgen.inits.role import Role

Visit = Callable[[Tensor], Tensor | None]
"""Writes one layer's values in place, and returns its mask where it has one."""


def apply_plan(plan: InitPlan, model: nn.Module) -> dict[str, Tensor]:
    """Write what a plan says into a model in place; return the masks of those tensors that have one, as bool.

    Each tensor draws from a generator seeded by the plan's seed and its name, on the CPU: neither other tensors nor the
    device decide its values. Raises UsageError for a model on the meta device, or whatever a rule raises, with the name
    of the tensor.
    """
    parameters = dict(model.named_parameters())
    for name, parameter in parameters.items():
        if parameter.is_meta:
            raise UsageError(
                f"'{printable(name)}' is on the meta device and has no values: build the model with values first"
            )
    masks: dict[str, Tensor] = {}
    with torch.no_grad():
        for assignment in plan.written:
            role = plan.roles.tensors.get(assignment.tensor)
            try:
                mask = _write(assignment, role, parameters[assignment.tensor], plan.seed)
            except UsageError as error:
                raise UsageError(f"'{printable(assignment.tensor)}': {error}") from error
            if mask is not None:
                masks[assignment.tensor] = mask
    return masks


def generator_of(seed: int, name: str) -> torch.Generator:
    """Return a generator on the CPU that a seed and a name decide."""
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big"))


def _write(assignment: Assignment, role: Role | None, parameter: Tensor, seed: int) -> Tensor | None:
    generator = generator_of(seed, assignment.draw or assignment.tensor)
    wide = torch.float64 if parameter.dtype == torch.float64 else torch.float32
    values = parameter.detach().to("cpu", wide, copy=True)
    fill, mask_of = assignment.fill, assignment.mask
    assert fill is not None

    def visit(piece: Tensor) -> Tensor | None:
        fill(piece, generator)
        return None if mask_of is None else mask_of(piece, generator)

    mask = _visit_layers(values, role, assignment.whole, visit)
    parameter.copy_(values)
    return mask


def _visit_layers(values: Tensor, role: Role | None, whole: bool, visit: Visit) -> Tensor | None:
    """Visit each layer in a tensor as (out, in, ...); return all their masks in the tensor's own layout."""
    if role is None or not role.is_layer:
        return visit(values)
    masks = torch.ones_like(values, dtype=torch.bool)
    masked = False
    for matrix, matrix_mask in zip(*((t.unbind(0) if role.stacked else [t]) for t in (values, masks)), strict=True):
        turned = matrix.transpose(0, 1) if role.transposed else matrix
        turned_mask = matrix_mask.transpose(0, 1) if role.transposed else matrix_mask
        for rows in [range(len(turned))] if whole else _layers(role, len(turned)):
            piece = turned[list(rows)].contiguous()
            mask = visit(piece)
            turned[list(rows)] = piece
            if mask is not None:
                turned_mask[list(rows)] = mask
                masked = True
    return masks if masked else None


def _layers(role: Role, count: int) -> Sequence[Sequence[int]]:
    """Return the output rows of each layer in a tensor."""
    size = count // role.groups
    return role.parts or [range(i * size, (i + 1) * size) for i in range(role.groups)]
