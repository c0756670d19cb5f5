"""The recipe of `weightgen generate`."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from cyclopts import Parameter
from pydantic import Field

from weightgen.recipe.base import ARGUMENT, Recipe, Seed


class GenerateRecipe(Recipe):
    """Generate starting weights from a prompt."""

    without_effect: ClassVar[frozenset[str]] = frozenset({"out"})

    stage: Annotated[Literal["generate"], Parameter(parse=False)] = "generate"
    prompt: Annotated[str, ARGUMENT] = Field(
        "",
        description="What the network should do, in up to four clauses with strengths: "
        '"pencil sketch, strength 0.7, then sepia".',
    )
    generator: str | None = Field(
        None, description="Directory of the generator, as weightgen train-generator writes it."
    )
    steps: int | None = Field(None, ge=1, le=1000, description="Denoising steps; by default those the generator names.")
    guidance: float | None = Field(
        None,
        ge=0,
        le=100,
        description="How far beyond the empty prompt; 1: not at all, by default what the generator names.",
    )
    snap: bool | None = Field(
        None, description="Take the nearest trained phrase for each of the prompt's; by default as the generator names."
    )
    samples: int = Field(
        1,
        ge=1,
        le=1024,
        description="Networks to choose from, by --pairs: of the prompt as it is said, then of other readings of it.",
    )
    pairs: str | None = Field(
        None, description="Folder with your own images, before/ and after/: the sample that does best there is taken."
    )
    encoder: str | None = Field(None, description="Where the generator's text encoder is, if not where it is named.")
    seed: Seed = Field(0, description="Of the noise.")
    threads: int = Field(0, ge=0, description="CPU threads; 0: as many as cores.")
