"""The recipe of `weightgen init`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from cyclopts import Parameter
from pydantic import Field

from weightgen.recipe.base import Arguments, Recipe, Seed, short_name


class InitRecipe(Recipe):
    """Write a model's starting weights down in closed form."""

    missing: ClassVar[str] = "of which model, and by which method? Add --model NAME --method NAME; methods: --list"
    """What to say where no option is given at all."""

    stage: Annotated[Literal["init"], Parameter(parse=False)] = "init"
    model: str = Field(description="Architecture: a preset, timm:NAME, hf:ORG/NAME, hf-hub:ORG/NAME or a directory.")
    model_args: Arguments = Field({}, description="Overrides of the model's configuration: key=value,...")
    method: str = Field(description="Initialiser: zero, idinit, orthogonal, ...; see --list.")
    method_args: Arguments = Field({}, description="Options of the method: key=value,... as in density=0.2")
    seed: Seed = Field(0, description="Of what is random, and of what the library draws.")

    def place(self) -> Path:
        """Return `out`, or a name of model and method in the current directory."""
        return Path(self.out or f"{short_name(self.model)}-{self.method}")
