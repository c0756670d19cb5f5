"""The recipe of `weightgen train-generator`."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from cyclopts import Parameter
from pydantic import Field

from weightgen.recipe.base import ARGUMENT
from weightgen.recipe.training import LOOP, LoopRecipe


class TrainGeneratorRecipe(LoopRecipe):
    """Train a generator of weights on a weights dataset."""

    without_effect: ClassVar[frozenset[str]] = frozenset({"out", "examples", "tracker", "save_every"})

    stage: Annotated[Literal["train-generator"], Parameter(parse=False)] = "train-generator"
    data: Annotated[str, ARGUMENT] = Field("", description="Weights dataset, as weightgen collect writes it.")
    examples: str | None = Field(
        None, description="Where the concepts or photos lie that DATA was collected from, if they were moved."
    )
    denoiser: Literal["subspace", "joint", "per-block", "film"] = Field(
        "subspace",
        description="Amounts of learned components, all blocks by attention, each block alone, or no diffusion: one "
        "modulated network, folded.",
    )
    components: int = Field(64, ge=1, le=4096, description="Of the subspace.")
    width: int = Field(128, ge=8, le=4096, description="Of the denoiser.")
    depth: int = Field(2, ge=1, le=64, description="Layers of the denoiser.")
    noise: Literal["ddim", "flow"] = Field("ddim", description="DDIM with zero terminal SNR, or flow matching.")
    prediction: Literal["sample", "v_prediction"] = Field("sample", description="What DDIM's denoiser predicts.")
    encoder: str | None = Field(
        None, description="Text encoder: a directory, package:NAME/path or hf:ORG/NAME; by default MiniLM of PyPI."
    )
    first: int = Field(4000, ge=0, description="Steps of denoising alone, before networks are run.")
    denoising: float = Field(0.0, ge=0, description="Weight of the error of clean blocks thereafter.")
    running: float = Field(
        0.25, ge=0, description="Weight of the logarithm of the error of what generated networks make of photos."
    )
    fresh: float = Field(0.5, ge=0, le=1, description="Share of prompts whose strengths are drawn anew.")
    mixed: float = Field(0.5, ge=0, le=1, description="Share of prompts for pairs of edits drawn anew.")
    limit: int | None = Field(None, ge=1, description="Learn from so many of the concepts only, the first ones.")
    empty: float = Field(0.1, ge=0, lt=1, description="Share of empty prompts, which guidance needs.")
    snap: bool = Field(False, description="Whether `generate` takes the nearest trained phrases unless told otherwise.")
    steps: int = Field(3000, ge=1, description="Optimizer steps.")
    batch_size: int = Field(8, ge=1, description="Concepts of one step, over all processes.")
    crops: int = Field(4, ge=1, description="Photos that the networks of a step run on.")
    crop: int = Field(40, ge=8, description="Side of those, in pixels.")
    lr: float = Field(2e-3, gt=0, description="Peak learning rate.")
    weight_decay: float = Field(1e-3, ge=0, description="AdamW's, of matrices.")
    clip: float = Field(1.0, gt=0, description="Largest norm of the gradient.")
    ema: Annotated[float, LOOP] = Field(
        0.995, ge=0, lt=1, description="Decay of the averaged weights, which are kept; 0: none."
    )
    origin: str | None = Field(None, description="Where the photos come from, and their licence, for the model card.")
