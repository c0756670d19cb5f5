"""Looks-linear initialisation of a network: where it stands in the chain decides each layer's block."""

from __future__ import annotations

from pydantic import Field
from torch import nn

from weightgen.errors import UsageError, printable
from weightgen.inits.initialiser import Assignment, Fill, Options
from weightgen.inits.looks_linear import Ends, Kind, looks_linear_
from weightgen.inits.role import Roles
from weightgen.inits.rules import layer, on_matrix
from weightgen.models.flow import Flow, find_flow

ADVICE = "looks-linear mirrors a chain of layers with ReLU between them, and nothing else"
POOLS = ("MaxPool", "max_pool", "AdaptiveMaxPool", "adaptive_max_pool")


class LooksLinearOptions(Options):
    """Options of looks-linear."""

    kind: Kind = Field("orthogonal", description="The matrix that is mirrored: orthogonal, or gaussian.")


def plan_looks_linear(model: nn.Module, roles: Roles, options: LooksLinearOptions) -> list[Assignment]:
    """Return mirrored blocks for a plain ReLU network, with mirrored ends, so that it is linear at the start.

    Raises UsageError for every other network, with what is in the way, and for widths that are odd.
    """
    flow = find_flow(model)
    if flow is None:
        raise UsageError(f"{type(model).__name__} cannot be traced: {ADVICE}")
    _check_chain(flow, roles)
    layers = [roles.tensors[flow.steps[n].tensor] for n in flow.layers(range(len(flow.steps)))]
    parameters = dict(model.named_parameters())
    assignments = []
    for i, role in enumerate(layers):
        ends: Ends = "first" if i == 0 else "last" if i == len(layers) - 1 else "none"
        out, into = parameters[role.tensor].shape[:2]
        odd = out if ends != "last" and out % 2 else into if ends != "first" and into % 2 else None
        if odd is not None:
            raise UsageError(
                f"'{printable(role.tensor)}': looks-linear splits widths in two halves, and {odd} is odd: use {odd + 1}"
            )
        assignments += layer(role, f"{options.kind}, mirrored", _fill(ends, options.kind))
    return assignments


def _check_chain(flow: Flow, roles: Roles) -> None:
    found = flow.layers(range(len(flow.steps)))
    if len(found) < 2:
        raise UsageError(f"a network of {len(found)} layers has no ReLU between layers: {ADVICE}")
    for readers in flow.readers():
        if len(readers) > 1:
            raise UsageError(f"the network forks before {_place(flow, readers[0])}: {ADVICE}")
    for number, step in enumerate(flow.steps):
        if step.op not in ("input", "layer", "activation", "pass") or step.name.startswith(POOLS):
            raise UsageError(f"{step.name or step.op} before {_place(flow, number)}: {ADVICE}")
    for i, number in enumerate(found):
        role = roles.tensors[flow.steps[number].tensor]
        expected = ("identity" if i == 0 else "relu", "identity" if i == len(found) - 1 else "relu")
        if (role.reads, role.feeds) != expected:
            names = f"reads {role.reads} and feeds {role.feeds}, expected {expected[0]} and {expected[1]}"
            raise UsageError(f"'{printable(role.tensor)}' {names}:\n{ADVICE}")
        if role.groups > 1:
            raise UsageError(f"'{printable(role.tensor)}' is a grouped convolution: {ADVICE}")


def _place(flow: Flow, number: int) -> str:
    """Return the layer that comes next after a step."""
    following = next((s.tensor for s in flow.steps[number:] if s.op == "layer"), None)
    return f"'{printable(following)}'" if following else "the output"


def _fill(ends: Ends, kind: Kind) -> Fill:
    return on_matrix(lambda values, generator: looks_linear_(values, ends, kind, generator))
