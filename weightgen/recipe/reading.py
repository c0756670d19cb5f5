"""Recipes made from what users write, and read from their files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from weightgen.errors import UsageError, did_you_mean, printable
from weightgen.reading.files import read_small
from weightgen.recipe.base import Recipe, told
from weightgen.recipe.yaml_values import parse_yaml

MAX_BYTES = 1 << 20  # a recipe is written by hand
R = TypeVar("R", bound=Recipe)


def make_recipe(kind: type[R], data: Mapping[str, Any], where: str = "recipe") -> R:
    """Validate a recipe; raises UsageError naming the field."""
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        raise refusal(kind, error, where) from error


def refusal(kind: type[Recipe], error: ValidationError, where: str) -> UsageError:
    """Say which field is wrong and why."""
    first = min(error.errors(), key=lambda e: e["type"] == "missing")  # a misspelt field is missing, too
    field = ".".join(map(str, first["loc"]))
    hint = did_you_mean(field, list(kind.model_fields)) if first["type"] == "extra_forbidden" else ""
    return UsageError(f"{where}: {f'{printable(field)}: ' if field else ''}{told(first)}.{hint}")


def read_yaml(path: Path) -> dict[str, Any]:
    """Return what a recipe's file says; raises InputError where it cannot be read, UsageError where it is none."""
    shown = printable(str(path))
    try:
        data = parse_yaml(read_small(path, MAX_BYTES).decode())
    except ValueError as error:  # of the text, or of what it says
        raise UsageError(f"{shown}: not valid YAML ({printable(str(error), 100)})") from error
    if not isinstance(data, dict):
        raise UsageError(f"{shown}: expected 'key: value' lines, found {type(data).__name__}")
    odd = next((key for key in data if not isinstance(key, str)), None)
    if odd is not None:
        raise UsageError(f"{shown}: expected words before the colons, found {printable(repr(odd), 40)}")
    return data


def read_recipe(path: Path, kind: type[R]) -> R:
    """Read a recipe of a stage that is known; raises as `read_yaml` does, and UsageError for one of another stage."""
    data = read_yaml(path)
    expected = kind.model_fields["stage"].default
    if data.get("stage") != expected:
        raise UsageError(f"{printable(str(path))}: is no {expected} recipe")
    return make_recipe(kind, data, printable(str(path)))
