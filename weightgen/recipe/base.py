"""What every recipe has, and the kinds of fields that they share."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Annotated, Any, ClassVar

import yaml
from cyclopts import Parameter
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from weightgen.errors import UsageError
from weightgen.recipe.arguments import parse_arguments


class Argument(Parameter):
    """Marks the fields that are arguments of the command, in their order, and no options."""


ARGUMENT = Argument(parse=False)
Flag = Annotated[bool, Parameter(negative=())]
Stage = Annotated[str, Parameter(parse=False)]
Arguments = Annotated[
    dict[str, Any],
    BeforeValidator(lambda value: parse_arguments(value) if isinstance(value, str) else value),
    Parameter(accepts_keys=False, n_tokens=1),
]


class Recipe(BaseModel):
    """What every stage's recipe has."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    without_effect: ClassVar[frozenset[str]] = frozenset({"out"})
    """Fields that do not decide the result."""
    missing: ClassVar[str] = ""
    """What to say where a command could do without a recipe, and got no option of one."""

    stage: Stage
    out: str | None = Field(None, description="Directory to write.")

    def to_yaml(self) -> str:
        """Return the recipe as YAML, defaults left out."""
        data = {"stage": self.stage, **self.model_dump(exclude_defaults=True)}
        return yaml.safe_dump(data, sort_keys=False, allow_unicode=True)

    def place(self) -> Path | None:
        """Return where to write; None where nothing need be. Raises UsageError where the user has to say."""
        if self.out is None:
            raise UsageError("where to? Add --out DIR")
        return Path(self.out)

    @property
    def hash(self) -> str:
        """sha256 of everything that decides the result."""
        data = self.model_dump(exclude=set(self.without_effect))
        return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def short_name(text: str) -> str:
    """Return the name of a model as a part of a directory's name."""
    return re.sub(r"[^\w.-]+", "-", text.rstrip("/").split("/")[-1].split(":")[-1]).strip("-.") or "model"
