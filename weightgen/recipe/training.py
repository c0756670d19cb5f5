"""The recipes of `weightgen train` and `weightgen compare`, and what every training loop is told."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from cyclopts import Group, Parameter
from pydantic import Field

from weightgen.recipe.base import Arguments, Recipe, Seed

LOOP = Parameter(group=Group("Training loop", sort_key=1))
"""Options that have little to do with what is trained: told last."""


class LoopRecipe(Recipe):
    """How the training loop runs, whatever it trains."""

    without_effect: ClassVar[frozenset[str]] = frozenset({"out", "tracker", "save_every"})

    schedule: Annotated[Literal["cosine", "linear", "constant_with_warmup"], LOOP] = Field(
        "cosine", description="Of the learning rate, after a linear warmup."
    )
    warmup: Annotated[float, LOOP] = Field(
        0.1, ge=0, le=1, description="Fraction of the steps that the rate takes to rise."
    )
    accumulate: Annotated[int, LOOP] = Field(1, ge=1, description="Micro-batches per step and process.")
    precision: Annotated[Literal["no", "bf16", "fp16"], LOOP] = Field("no", description="Mixed precision.")
    ema: Annotated[float, LOOP] = Field(
        0.0, ge=0, lt=1, description="Decay of averaged weights, which are then scored; 0: none."
    )
    seed: Annotated[Seed, LOOP] = Field(0, description="Of the initialisation.")
    data_seed: Annotated[Seed, LOOP] = Field(0, description="Of the data order.")
    augment_seed: Annotated[Seed, LOOP] = Field(0, description="Of augmentation and dropout.")
    threads: Annotated[int, LOOP] = Field(0, ge=0, description="CPU threads of one training; 0: as many as cores.")
    save_every: Annotated[int, LOOP] = Field(200, ge=1, description="Steps between saved states.")
    tracker: Annotated[str | None, LOOP] = Field(
        None, description="Log to a tracker of Accelerate: tensorboard, wandb, ..."
    )


class TrainingRecipe(LoopRecipe):
    """What training one model and racing several have in common."""

    task: Literal["classify", "causal", "masked", "sentences", "translate", "fit"] = Field(
        description="What to train for; fit, which is raced only: fields to signals."
    )
    data: str = Field(
        "digits",
        description="Images: digits, a folder of images, a zip of one, a folder of IDX files. "
        "Text: a UTF-8 file, a folder of .txt files. Either: hf:ORG/NAME, for text with [:CONFIG]. Pairs of photos: "
        "a folder with before/ and after/, or concept:TEXT, as in 'concept:sepia tone, strength 0.7 and soft blur'.",
    )
    model: str | None = Field(
        None, description="Architecture, where no start says it: a preset, timm:NAME, hf:ORG/NAME or a directory."
    )
    model_args: Arguments = Field({}, description="Overrides of the model's configuration: key=value,...")
    steps: int = Field(1000, ge=1, description="Optimizer steps.")
    batch_size: int = Field(64, ge=1, description="Items of one step, over all processes.")
    optimizer: Literal["adamw", "layca"] = Field(
        "adamw",
        description="Or Layca, which turns each kernel by the angle whose tangent is the learning rate: 0.01 to 0.1.",
    )
    weight_decay: float = Field(0.05, ge=0, description="AdamW's, of matrices.")
    gradient_noise: float = Field(
        0.0, ge=0, description="Variance of noise added to the gradients at first; it falls. 0.01, 0.3 and 1 are usual."
    )
    clip: float = Field(1.0, gt=0, description="Largest norm of the gradient.")
    augment: Literal["none", "flip", "crop", "crop-flip", "trivial"] = Field(
        "crop-flip", description="Image augmentation: padded crops, flips, or TrivialAugment."
    )
    image_size: int | None = Field(
        None, ge=1, description="Side in pixels, for models that take any size; of crops to translate, 64 by default."
    )
    length: int = Field(128, ge=2, description="Tokens of one text item.")
    teacher: str | None = Field(
        None, description="Checkpoint to imitate: required by sentences, knowledge distillation elsewhere."
    )
    teacher_weight: float = Field(0.5, ge=0, le=1, description="Share of the teacher in the loss.")
    temperature: float = Field(2.0, gt=0, description="Of the teacher's and the student's distributions.")


class TrainRecipe(TrainingRecipe):
    """Train one model."""

    stage: Annotated[Literal["train"], Parameter(parse=False)] = "train"
    start: str = Field("random", description="Checkpoint directory to start from, an initialiser's name, or random.")
    lr: float = Field(1e-3, gt=0, description="Peak learning rate.")


class CompareRecipe(TrainingRecipe):
    """Race starts against each other."""

    without_effect: ClassVar[frozenset[str]] = frozenset({"out", "tracker", "save_every", "workers", "require"})

    stage: Annotated[Literal["compare"], Parameter(parse=False)] = "compare"
    start: Annotated[list[str], Parameter(negative=())] = Field(
        min_length=2,
        description="A start, once for each: [NAME=]DIRECTORY, an initialiser (he-normal, orthogonal, ...), random, "
        "shuffled:DIR, stats:DIR, perturbed:SCALE:DIR or scratch-flops[:DIR]. For --task fit: DIRECTORY, "
        "random[:FIELD], vi3nr, winner, mean, matched:DIR or shuffled:DIR.",
    )
    seeds: int = Field(3, ge=1, description="Runs of each start; run k adds k to every seed.")
    lr: float = Field(1e-3, gt=0, description="First learning rate tried.")
    lr_trials: int = Field(3, ge=1, description="Learning rates tried for each start, on data kept for it.")
    marks: int = Field(24, ge=2, description="How often each run is scored on the validation data.")
    workers: int = Field(0, ge=0, description="Runs at a time; 0: one per core, or one where there is a GPU.")
    require: str | None = Field(
        None, description="Exit 1 unless this holds: [START:]MEASURE OP NUMBER, as in speedup>=2."
    )

    def place(self) -> Path:
        """Return `out`, or `race` in the current directory."""
        return Path(self.out or "race")
