"""The recipe of `weightgen diagnose`."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter
from pydantic import Field

from weightgen.recipe.probing import ProbeRecipe


class DiagnoseRecipe(ProbeRecipe):
    """Measure starts before any training."""

    stage: Annotated[Literal["diagnose"], Parameter(parse=False)] = "diagnose"
    start: Annotated[list[str], Parameter(parse=False)] = Field([])  # the command's arguments
    measure: Annotated[list[str], Parameter(negative=())] = Field(
        [], description="What to measure, once for each (see --list), or all; by default what takes seconds."
    )
    against: str | None = Field(
        None, description="Compare each start with this one instead: what was trained from it, or beside it."
    )
