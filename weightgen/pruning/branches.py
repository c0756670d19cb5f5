"""Dropping whole residual branches: what is left of each is the identity.

Jordao et al. 2023, "When layers play the lottery, all tickets win at initialization".
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
from torch import Tensor

from weightgen.errors import UsageError
from weightgen.inits.role import Roles
from weightgen.models.masks import Mask
from weightgen.pruning.choose import Scores


def branch_totals(scores: Scores, roles: Roles) -> dict[int, float]:
    """Return the sum of the scores of each residual branch's weights.

    Of GraSP's scores it is, to first order, how much of the gradient's square goes with the branch.
    Raises UsageError for a model whose branches are not known, or that has none.
    """
    totals: dict[int, float] = {}
    for name, score in scores.items():
        role = roles.tensors.get(name)
        if role is not None and role.branch is not None:
            totals[role.branch] = totals.get(role.branch, 0.0) + float(score.double().sum())
    if not totals:
        raise UsageError("dropping branches needs residual branches, and none were found in the model")
    return dict(sorted(totals.items()))


def lowest(totals: Mapping[int, float], count: int) -> list[int]:
    """Return the branches of the lowest totals, in order; raises UsageError where not even one would be left."""
    if not 0 <= count < len(totals):
        raise UsageError(f"dropping branches: expected fewer than the {len(totals)} that there are, found {count}")
    return sorted(sorted(totals, key=lambda branch: (totals[branch], branch))[:count])


def without(parameters: Mapping[str, Tensor], roles: Roles, branches: Collection[int]) -> Mask:
    """Return the mask that empties branches: weights, biases, and the norm between a branch's end and the stream.

    A norm that the stream itself goes through, as in BERT, stays. `parameters` of the model give the shapes.
    """
    gone: set[str] = set()
    for role in roles.tensors.values():
        if role.branch in branches and role.branch is not None:
            gone |= {role.tensor, role.bias or role.tensor}
            if role.kind == "branch-end" and role.norm is not None:
                gone |= {role.norm, role.norm.removesuffix("weight") + "bias"}
    return Mask({n: torch.zeros(p.shape, dtype=torch.bool) for n, p in parameters.items() if n in gone})
