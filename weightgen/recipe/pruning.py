"""The recipe of `weightgen prune`."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter
from pydantic import Field

from weightgen.recipe.base import ARGUMENT, Flag
from weightgen.recipe.probing import ProbeRecipe

Score = Literal["snip", "grasp", "synflow", "gradsign", "magnitude", "random", "small-world", "scale-free"]


class PruneRecipe(ProbeRecipe):
    """Make a start sparse."""

    stage: Annotated[Literal["prune"], Parameter(parse=False)] = "prune"
    start: Annotated[str, ARGUMENT] = Field(
        "", description="Checkpoint directory, an initialiser's name, or random; one of the last two needs --model."
    )
    score: Score = Field(
        "snip",
        description="What decides which weights of linear and convolutional layers stay: a score (the highest stay), "
        "random, or the edges of a small-world or scale-free graph.",
    )
    scores: str | None = Field(
        None, description="Scores from a safetensors file instead, by the names of the weights: the highest stay."
    )
    density: float = Field(0.1, gt=0, le=1, description="Share of these weights that stays.")
    across: Literal["model", "layer", "erk"] = Field(
        "model",
        description="Rank all weights together, or keep the same or the Erdos-Renyi-Kernel share of each layer.",
    )
    rounds: int | None = Field(
        None, ge=1, description="Score what is left so many times; by default 100 for synflow, 1 for the others."
    )
    sample: Flag = Field(False, description="Draw what stays with probabilities that follow the score.")
    rescale: Flag = Field(False, description="With --sample: divide what stays by its probability.")
    drop_branches: int = Field(0, ge=0, description="Empty so many residual branches first, of the lowest total score.")
    freeze: float = Field(
        0.0, ge=0, lt=1, description="Exclude this share of the parameters from training, from the input on."
    )
