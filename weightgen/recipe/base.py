"""What every recipe has, and the kinds of fields that they share."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, ClassVar

import yaml
from cyclopts import Parameter
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from weightgen.models.names import parse_arguments

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

    stage: Stage
    out: str | None = Field(None, description="Directory to write.")

    def to_yaml(self) -> str:
        """Return the recipe as YAML, defaults left out."""
        data = {"stage": self.stage, **self.model_dump(exclude_defaults=True)}
        return yaml.safe_dump(data, sort_keys=False, allow_unicode=True)

    @property
    def hash(self) -> str:
        """sha256 of everything that decides the result."""
        data = self.model_dump(exclude=set(self.without_effect))
        return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()
