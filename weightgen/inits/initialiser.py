"""What an initialiser is: a plan of which tensor gets which rule, and the options that it takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Tensor

from weightgen.errors import UsageError, did_you_mean, printable
from weightgen.inits.role import Roles

Fill = Callable[[Tensor, torch.Generator], object]
"""Writes the values of a matrix (out, in) or kernel (out, in, ...) in place; what it returns is not used."""


@dataclass(frozen=True)
class Assignment:
    """What becomes of one tensor."""

    tensor: str
    """Name in the model's state dict."""
    rule: str
    """What it gets, in a few words: `he-normal x 0.333`, `zero`."""
    why: str
    """Reason in a few words: `ends a branch`."""
    fill: Fill | None = None
    """Writes its values; None leaves it as its library made it.

    It is given float32 (or float64) values on the CPU, laid out (out, in, ...) however the model stores them. Layers
    that are fused in one tensor (q, k and v; groups of a convolution) come one by one, unless `whole`; experts always.
    """
    whole: bool = False
    """Give `fill` the tensor in one piece, its fused layers together."""
    draw: str = ""
    """Name that the generator is seeded from, the tensor's own where empty: tensors that share a draw name it."""
    mask: Callable[[Tensor, torch.Generator], Tensor] | None = None
    """Called right after `fill` with the same arguments; returns as bool, of that shape, what may be trained."""


class Options(BaseModel):
    """The options of an initialiser, by name; a method that has some subclasses it."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True)
class Initialiser:
    """A way to begin, under the name that users write."""

    name: str
    paper: str
    """Authors and year, or where the rule is from."""
    needs: str
    """What a model must be for it, `any model` where nothing."""
    advice: str
    """When to use it, in one line."""
    plan: Callable[[torch.nn.Module, Roles, Any], list[Assignment]]
    """(model, roles, options) -> one assignment for each tensor that it decides on; all others are left alone. Raises
    UsageError where the model is not of the kind it needs."""
    options: type[Options] = Options
    """Validates the options; `plan` is given an instance."""
    variant: Mapping[str, Any] = field(default_factory=dict)
    """Arguments that make a timm model one that the method is for, where one that is named is not."""

    def parse(self, options: Mapping[str, Any]) -> Options:
        """Return validated options; raises UsageError for one that it does not take, or a value out of range."""
        try:
            return self.options.model_validate(dict(options))
        except ValidationError as error:
            first = error.errors()[0]
            name = printable(".".join(map(str, first["loc"])))
            known = list(self.options.model_fields)
            if first["type"] == "extra_forbidden":
                takes = f"it takes {', '.join(known)}" if known else "it takes none"
                hint = did_you_mean(name, known)
                raise UsageError(f"{self.name} has no option '{name}': {takes}.{hint}") from error
            found = printable(repr(first["input"]))
            raise UsageError(f"{self.name}: {name}: {first['msg'].lower()}, found {found}") from error
