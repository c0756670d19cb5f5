"""What every recipe has, and the kinds of fields that they share."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

import yaml
from cyclopts import Parameter
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from weightgen.errors import UsageError, printable
from weightgen.recipe.arguments import parse_arguments


class Argument(Parameter):
    """Marks the fields that are arguments of the command, in their order, and no options."""


ARGUMENT = Argument(parse=False)
MAX_SEED = 2**32 - 2**20
"""Largest seed: NumPy takes 32 bits, and runs and processes add their numbers."""
MAX_NUMBER = 2**53
"""Largest number of anything: what every reader of JSON holds exactly, and far more than a machine can make."""
Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]
Flag = Annotated[bool, Parameter(negative=())]
Stage = Annotated[str, Parameter(parse=False)]
Arguments = Annotated[
    dict[str, Any],
    BeforeValidator(lambda value: parse_arguments(value) if isinstance(value, str) else value),
    Parameter(accepts_keys=False, n_tokens=1),
]


def told(error: Mapping[str, Any]) -> str:
    """Return what an error of validation says: a rule of ours as it is written, one of pydantic's in lower case."""
    ours = error["type"] == "value_error"
    return str(error["ctx"]["error"]).rstrip(".") if ours else str(error["msg"]).lower()


def check_texts(values: Mapping[str, Any]) -> None:
    """Raise ValueError for the first value with a text, however deep, that no path or file could hold."""
    for key, value in values.items():
        for text in _texts(value, set()):
            if "\0" in text:
                raise ValueError(f"'{printable(key)}' holds a NUL character")
            if any("\ud800" <= c <= "\udfff" for c in text):
                raise ValueError(f"'{printable(key)}' is no UTF-8, which cards and recipes are written in. Rename it.")


def _texts(value: Any, seen: set[int]) -> Iterator[str]:
    """Yield the texts in plain values; a part that stands in several places, as YAML's aliases do, is read once."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list) and id(value) not in seen:
        seen.add(id(value))
        for part in [*value, *value.values()] if isinstance(value, Mapping) else value:
            yield from _texts(part, seen)


class Recipe(BaseModel):
    """What every stage's recipe has."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    without_effect: ClassVar[frozenset[str]] = frozenset({"out"})
    """Fields that do not decide the result."""
    missing: ClassVar[str] = ""
    """What to say where a command could do without a recipe, and got no option of one."""

    @model_validator(mode="before")
    @classmethod
    def _text_that_is_text(cls, data: Any) -> Any:
        """Refuse what no path, no name, or no file that is written could hold, before it is taken for one."""
        if isinstance(data, Mapping):
            check_texts(data)
        return data

    @model_validator(mode="after")
    def _number_that_is_exact(self) -> Self:
        for key in type(self).model_fields:
            value = getattr(self, key)
            for number in value if isinstance(value, list) else [value]:
                if isinstance(number, int) and abs(number) > MAX_NUMBER:
                    raise ValueError(f"'{key}' is beyond 2^53, which nothing can be")
        return self

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
