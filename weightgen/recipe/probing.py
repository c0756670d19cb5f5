"""What the recipes of `weightgen diagnose` and `weightgen prune` have in common: a model, and what to run it on."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from weightgen.recipe.base import Arguments, Recipe, Seed


class ProbeRecipe(Recipe):
    """A model that may need to be named, and the batch on which it is measured."""

    without_effect: ClassVar[frozenset[str]] = frozenset({"out", "threads"})

    model: str | None = Field(
        None, description="Architecture, where no start says it: a preset, timm:NAME, hf:ORG/NAME or a directory."
    )
    model_args: Arguments = Field({}, description="Overrides of the model's configuration: key=value,...")
    data: str | None = Field(
        None, description="Training data to measure on, as of weightgen train; by default random inputs and classes."
    )
    task: Literal["classify", "causal", "masked", "translate"] | None = Field(
        None, description="What the data are for; by default what the model's name says."
    )
    items: int = Field(32, ge=2, description="Items of the batch; some measures look at fewer, and say so.")
    image_size: int | None = Field(None, ge=1, description="Side in pixels, for models that take any size.")
    length: int = Field(32, ge=2, description="Tokens of one text item.")
    seed: Seed = Field(0, description="Of random weights, of random inputs and of everything that is drawn.")
    threads: int = Field(0, ge=0, description="CPU threads; 0: as many as cores.")
