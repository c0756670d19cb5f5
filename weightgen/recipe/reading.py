"""Recipes by the name of their stage, made from what users write and read from their files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from weightgen.errors import UsageError, did_you_mean, printable
from weightgen.files import read_small
from weightgen.recipe.averaging import AverageRecipe
from weightgen.recipe.base import Recipe
from weightgen.recipe.collecting import CollectRecipe
from weightgen.recipe.diagnosis import DiagnoseRecipe
from weightgen.recipe.fields import FitRecipe, MetalearnRecipe
from weightgen.recipe.generating import GenerateRecipe
from weightgen.recipe.generator import TrainGeneratorRecipe
from weightgen.recipe.inits import InitRecipe
from weightgen.recipe.pruning import PruneRecipe
from weightgen.recipe.subcloning import SubcloneRecipe
from weightgen.recipe.training import CompareRecipe, TrainRecipe

MAX_BYTES = 1 << 20  # a recipe is written by hand
RECIPES: dict[str, type[Recipe]] = {
    "subclone": SubcloneRecipe,
    "train": TrainRecipe,
    "train-generator": TrainGeneratorRecipe,
    "compare": CompareRecipe,
    "metalearn": MetalearnRecipe,
    "fit": FitRecipe,
    "collect": CollectRecipe,
    "generate": GenerateRecipe,
    "average": AverageRecipe,
    "init": InitRecipe,
    "diagnose": DiagnoseRecipe,
    "prune": PruneRecipe,
}
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
    return UsageError(f"{where}: {printable(field)}: {first['msg'].lower()}.{hint}")


def load_recipe(path: Path) -> Recipe:
    """Read a recipe; raises InputError where it cannot be read, UsageError where it says something unknown."""
    shown = printable(str(path))
    try:
        data = yaml.safe_load(read_small(path, MAX_BYTES).decode())
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{shown}: not valid YAML") from error
    if not isinstance(data, dict):
        raise UsageError(f"{shown}: expected 'key: value' lines, found {type(data).__name__}")
    stage = data.get("stage", "subclone")
    if stage not in RECIPES:
        raise UsageError(f"{shown}: unknown stage '{printable(str(stage))}'.{did_you_mean(str(stage), [*RECIPES])}")
    return make_recipe(RECIPES[stage], data, shown)
