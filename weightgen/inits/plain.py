"""Rules that look at each layer by itself: torch's own, Kumar's, VI3NR's, low rank, and the library's."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from pydantic import Field
from torch import Tensor, nn

from weightgen.errors import UsageError, printable
from weightgen.inits.activations import activation_of
from weightgen.inits.gain import gain
from weightgen.inits.initialiser import Assignment, Fill, Options
from weightgen.inits.kumar import kumar_std
from weightgen.inits.low_rank import low_rank_
from weightgen.inits.role import Roles
from weightgen.inits.rules import ON_THE_WAY, layer
from weightgen.inits.tensors import fan_in, fill

Plan = Callable[[nn.Module, Roles, Options], list[Assignment]]


class Vi3nrOptions(Options):
    """Options of vi3nr."""

    sigma: float = Field(1.0, gt=0, description="Deviation of preactivations.")


class LowRankOptions(Options):
    """Options of low-rank."""

    rank: int = Field(8, ge=1, description="Rank of every layer that has more.")


def each(rule: str, write: Fill) -> Plan:
    """Return the plan that gives every layer one rule, fused layers in one piece as torch.nn.init sees them."""

    def plan(model: nn.Module, roles: Roles, options: Options) -> list[Assignment]:
        return [a for role in roles.layers for a in layer(role, rule, write, whole=True)]

    return plan


def plan_default(model: nn.Module, roles: Roles, options: Options) -> list[Assignment]:
    """Return nothing: every tensor is left as its library made it."""
    return []


def plan_kumar(model: nn.Module, roles: Roles, options: Options) -> list[Assignment]:
    """Return Kumar's variance for the activation that each layer feeds.

    Raises UsageError for one that is not differentiable at 0, ReLU aside.
    """
    assignments = []
    for role in roles.layers:
        name = role.feeds or "identity"
        activation = roles.activation(name)
        try:
            factor = kumar_std(activation, 1)
        except UsageError as error:
            raise UsageError(f"'{printable(role.tensor)}' feeds {name}: {error}") from error
        assignments += layer(role, f"N(0, {factor**2:.4g}/n)", _scaled(factor), _whereto("feeds", role.feeds))
    return assignments


def plan_vi3nr(model: nn.Module, roles: Roles, options: Vi3nrOptions) -> list[Assignment]:
    """Return VI3NR's gain of the activation that each layer reads from, 1 where none comes before it."""
    names = {role.reads or "identity" for role in roles.layers}
    gains = {name: gain(activation_of(roles.activation(name)), options.sigma) for name in sorted(names)}
    assignments = []
    for role in roles.layers:
        factor = gains[role.reads or "identity"]
        assignments += layer(role, f"gain {factor:.4f}", _scaled(factor), _whereto("reads", role.reads))
    return assignments


def plan_low_rank(model: nn.Module, roles: Roles, options: LowRankOptions) -> list[Assignment]:
    """Return the library's own weights of each layer at a lower rank and equal norm; biases stay."""
    return [
        Assignment(role.tensor, f"rank {options.rank}", "same norm", _low_rank(options.rank))
        for role in roles.of(*ON_THE_WAY)
    ]


def _whereto(verb: str, name: str | None) -> str:
    return f"{verb} {name}" if name is not None else f"{verb} what is not known"


def _scaled(factor: float) -> Fill:
    """Return what draws from N(0, factor^2 / fan-in)."""
    return lambda values, generator: fill(values, factor / math.sqrt(fan_in(values)), generator)


def _low_rank(rank: int) -> Fill:
    def cut(values: Tensor, generator: torch.Generator) -> None:
        # Layers that begin with zeros, and those that have no higher rank, are what they would become.
        if rank < min(len(values), values[0].numel()) and bool(values.any()):
            low_rank_(values, rank)

    return cut
