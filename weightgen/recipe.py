"""Recipes: one YAML file is one reproducible run. The command line builds the same objects."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from weightgen.errors import UsageError, did_you_mean, printable
from weightgen.files import read_small

MAX_BYTES = 1 << 20  # a recipe is written by hand


class SubcloneRecipe(BaseModel):
    """Cut a small model's weights out of a larger one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    stage: Literal["subclone"] = "subclone"
    src: str
    dst: str = "same"
    src_args: dict[str, Any] = Field(default_factory=dict)
    dst_args: dict[str, Any] = Field(default_factory=dict)
    src_weights: str | None = None
    dst_tokenizer: str | None = None
    method: str = "selection"
    choose: str | None = None
    heads: str | None = None
    depth: str | list[int] | None = None
    scale: str | None = None
    importance: str | None = None
    calibrate: str | None = None
    calibrate_samples: int = Field(default=64, ge=1)
    scores: str | None = None
    save_scores: str | None = None
    dtype: Literal["keep", "float32", "bfloat16", "float16"] = "keep"
    seed: int = Field(default=0, ge=0)
    allow_pickle: bool = False
    out: str | None = None

    def to_yaml(self) -> str:
        """Return the recipe as YAML, defaults left out."""
        data = {"stage": self.stage, **self.model_dump(exclude_defaults=True)}
        return yaml.safe_dump(data, sort_keys=False, allow_unicode=True)

    @property
    def hash(self) -> str:
        """sha256 of everything that decides the result."""
        data = self.model_dump(exclude={"out"})
        return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def make_recipe(data: dict[str, Any], where: str = "recipe") -> SubcloneRecipe:
    """Validate a recipe; raises UsageError naming the field."""
    try:
        return SubcloneRecipe.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        hint = did_you_mean(field, list(SubcloneRecipe.model_fields)) if first["type"] == "extra_forbidden" else ""
        raise UsageError(f"{where}: {printable(field)}: {first['msg'].lower()}.{hint}") from error


def load_recipe(path: Path) -> SubcloneRecipe:
    """Read a recipe; raises InputError where it cannot be read, UsageError where it says something unknown."""
    shown = printable(str(path))
    raw = read_small(path, MAX_BYTES)
    try:
        data = yaml.safe_load(raw.decode("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{shown}: not valid YAML") from error
    if not isinstance(data, dict):
        raise UsageError(f"{shown}: expected 'key: value' lines, found {type(data).__name__}")
    return make_recipe(data, shown)
