"""A plan: for every parameter of a model what it gets and why, or why it is left alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from weightgen.inits.initialiser import Assignment, Initialiser, Options
from weightgen.inits.role import Role, Roles
from weightgen.publishing.plan_hash import with_hash

WHY = {
    "stem": "reads the input",
    "hidden": "hidden layer",
    "branch-end": "ends a branch",
    "shortcut": "maps the stream",
    "head": "head",
    "norm": "norm",
    "embedding": "embedding",
}


@dataclass(frozen=True)
class InitPlan:
    """Everything that an initialisation does, decided before any value is written."""

    model: str
    method: str
    options: Mapping[str, Any]
    seed: int
    roles: Roles
    shapes: Mapping[str, tuple[int, ...]]
    assignments: tuple[Assignment, ...]
    """One for every parameter, in the model's order."""

    def to_json(self) -> dict[str, Any]:
        """Return the plan as plain data, with its hash."""
        data = {
            "schema": 1,
            "model": self.model,
            "method": {"name": self.method, "options": dict(self.options), "seed": self.seed},
            "structured": self.roles.structured,
            "branches": self.roles.branches,
            "tensors": [_json(a, self.shapes[a.tensor]) for a in self.assignments],
        }
        return with_hash(data)

    @property
    def hash(self) -> str:
        """sha256 of the plan's content."""
        return str(self.to_json()["hash"])

    @property
    def written(self) -> list[Assignment]:
        """The assignments that write values."""
        return [a for a in self.assignments if a.fill is not None]

    @property
    def parameters(self) -> int:
        """Number of values in all parameters."""
        return sum(math.prod(shape) for shape in self.shapes.values())


def build_plan(
    initialiser: Initialiser, model: nn.Module, roles: Roles, options: Options, seed: int, called: str = ""
) -> InitPlan:
    """Plan a model's initialisation from its shapes, on any device; `called` is what the plan calls the model.

    Raises UsageError for a model that is not of the kind that the method needs.
    """
    decided = {a.tensor: a for a in initialiser.plan(model, roles, options)}
    parameters = dict(model.named_parameters())
    biases = {role.bias: role for role in roles.tensors.values()}
    return InitPlan(
        called or type(model).__name__,
        initialiser.name,
        options.model_dump(),
        seed,
        roles,
        {n: tuple(p.shape) for n, p in parameters.items()},
        tuple(decided.get(n) or _left(n, roles.tensors.get(n) or biases[n]) for n in parameters),
    )


def why_of(role: Role) -> str:
    """Return in a few words what a parameter is."""
    return WHY.get(role.kind, role.note)


def _left(name: str, role: Role) -> Assignment:
    return Assignment(name, "", "bias" if name == role.bias else why_of(role))


def _json(assignment: Assignment, shape: tuple[int, ...]) -> dict[str, Any]:
    data = {"name": assignment.tensor, "shape": list(shape), "rule": assignment.rule or None, "why": assignment.why}
    return data | ({"masked": True} if assignment.mask is not None else {})
