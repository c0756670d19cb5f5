"""The recipe of `weightgen average`."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter
from pydantic import Field

from weightgen.recipe.base import ARGUMENT, Flag, Recipe


class AverageRecipe(Recipe):
    """Average checkpoints of one architecture."""

    stage: Annotated[Literal["average"], Parameter(parse=False)] = "average"
    checkpoints: Annotated[list[str], ARGUMENT] = Field(
        [], description="Two or more checkpoints: directories, timm:NAME.TAG, hf:ORG/NAME, hf-hub:ORG/NAME."
    )
    plain: Flag = Field(False, description="The mean itself, without the correction of its variance.")
