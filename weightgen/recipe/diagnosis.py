"""The recipe of `weightgen diagnose`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from pydantic import Field

from weightgen.recipe.base import ARGUMENT
from weightgen.recipe.probing import ProbeRecipe


class DiagnoseRecipe(ProbeRecipe):
    """Measure starts before any training."""

    stage: Annotated[Literal["diagnose"], Parameter(parse=False)] = "diagnose"
    start: Annotated[list[str], ARGUMENT] = Field(
        [],
        description="Checkpoint directories, initialisers (he-normal, orthogonal, ...), or random: several stand side "
        "by side.",
    )
    measure: Annotated[list[str], Parameter(negative=())] = Field(
        [], description="What to measure, once for each (see --list), or all; by default what takes seconds."
    )
    against: str | None = Field(
        None, description="Compare each start with this one instead: what was trained from it, or beside it."
    )

    def place(self) -> Path | None:
        """Return `out`: what was found is said without it, too."""
        return Path(self.out) if self.out else None
