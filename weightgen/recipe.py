"""Recipes: one YAML file is one reproducible run. The command line's options are the fields of these models."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar

import yaml
from cyclopts import Group, Parameter
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from weightgen.errors import UsageError, did_you_mean, printable
from weightgen.files import read_small
from weightgen.models.names import parse_arguments

MAX_BYTES = 1 << 20  # a recipe is written by hand

Flag = Annotated[bool, Parameter(negative=())]
Stage = Annotated[str, Parameter(parse=False)]
LOOP = Parameter(group=Group("Training loop", sort_key=1))
"""Options that have little to do with what is trained: told last."""
Arguments = Annotated[
    dict[str, Any],
    BeforeValidator(lambda value: parse_arguments(value) if isinstance(value, str) else value),
    Parameter(accepts_keys=False, n_tokens=1),
]


def _blocks(value: Any) -> Any:
    listed = isinstance(value, str) and re.fullmatch(r"\d+(,\d+)*", value)
    return [int(b) for b in value.split(",")] if listed else value


class Recipe(BaseModel):
    """What every stage's recipe has."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    without_effect: ClassVar[frozenset[str]] = frozenset({"out"})
    """Fields that do not decide the result."""

    stage: Stage
    out: str | None = Field(None, description="Directory to write.")

    def to_yaml(self) -> str:
        """Return the recipe as YAML, defaults left out."""
        data = {"stage": self.stage, **self.model_dump(exclude_defaults=True)}
        return yaml.safe_dump(data, sort_keys=False, allow_unicode=True)

    @property
    def hash(self) -> str:
        """sha256 of everything that decides the result."""
        data = self.model_dump(exclude=set(self.without_effect))
        return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


class SubcloneRecipe(Recipe):
    """Cut a small model's weights out of a larger one."""

    stage: Annotated[Literal["subclone"], Parameter(parse=False)] = "subclone"
    src: str = Field(
        description="Source: a preset (see: weightgen models), timm:NAME[.tag], hf:ORG/NAME[@revision], "
        "hf-hub:ORG/NAME, a directory, or package:NAME/path (a directory inside an installed Python package)."
    )
    dst: str = Field(
        description="Target: the same kinds of name, or 'same' for the source's own configuration with --dst-args.",
    )
    src_args: Arguments = Field({}, description="Overrides of the source's configuration: key=value,...")
    dst_args: Arguments = Field({}, description="Overrides of the target's configuration: key=value,...")
    src_weights: str | None = Field(
        None, description="The source's weights: a file or directory, where --src only names the architecture."
    )
    dst_tokenizer: str | None = Field(
        None, description="Directory with the target's tokenizer, to match vocabularies that differ."
    )
    method: str | None = Field(
        None,
        description="subcloning (default for timm models), selection (for transformers models) or minitron: a bundle "
        "of the four choices below.",
    )
    choose: str | None = Field(None, description="Which indices: uniform, consecutive, random or importance.")
    heads: str | None = Field(
        None, description="whole: keep whole attention heads; flat: cut every axis as a plain one, as published."
    )
    depth: Annotated[str | list[int] | None, BeforeValidator(_blocks), Parameter(n_tokens=1, negative=())] = Field(
        None, description="Which blocks: first, spread, ends, influence, or a list such as 0,2,5."
    )
    scale: str | None = Field(None, description="none, or fan-in: multiply by sqrt(source fan-in / target fan-in).")
    importance: str | None = Field(
        None, description="What importance is: magnitude (no data), activation or minitron (with --calibrate)."
    )
    calibrate: str | None = Field(None, description="Folder of images or text file to measure activations on.")
    calibrate_samples: int = Field(64, ge=1, description="How many images or text pieces to use.")
    scores: str | None = Field(None, description="Use scores saved before instead of measuring.")
    save_scores: str | None = Field(None, description="Save the scores to a file, for other target sizes.")
    dtype: Literal["keep", "float32", "bfloat16", "float16"] = Field(
        "keep", description="Type of the weights written; the source's own by default."
    )
    seed: int = Field(0, ge=0, description="Seed of random choices and of what is initialised anew.")
    allow_pickle: Flag = Field(False, description="Read a pickled weights file (tensors only).")


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
    seed: Annotated[int, LOOP] = Field(0, ge=0, description="Of the initialisation.")
    data_seed: Annotated[int, LOOP] = Field(0, ge=0, description="Of the data order.")
    augment_seed: Annotated[int, LOOP] = Field(0, ge=0, description="Of augmentation and dropout.")
    threads: Annotated[int, LOOP] = Field(0, ge=0, description="CPU threads of one training; 0: as many as cores.")
    save_every: Annotated[int, LOOP] = Field(200, ge=1, description="Steps between saved states.")
    tracker: Annotated[str | None, LOOP] = Field(
        None, description="Log to a tracker of Accelerate: tensorboard, wandb, ..."
    )


class TrainingRecipe(LoopRecipe):
    """What training one model and racing several have in common."""

    task: Literal["classify", "causal", "masked", "sentences", "fit"] = Field(
        description="What to train for; fit, which is raced only: fields to signals."
    )
    data: str = Field(
        "digits",
        description="Images: digits, a folder of images, a zip of one, a folder of IDX files. "
        "Text: a UTF-8 file, a folder of .txt files. Either: hf:ORG/NAME, for text with [:CONFIG].",
    )
    model: str | None = Field(
        None, description="Architecture, where no start says it: a preset, timm:NAME, hf:ORG/NAME or a directory."
    )
    model_args: Arguments = Field({}, description="Overrides of the model's configuration: key=value,...")
    steps: int = Field(1000, ge=1, description="Optimizer steps.")
    batch_size: int = Field(64, ge=1, description="Items of one step, over all processes.")
    weight_decay: float = Field(0.05, ge=0, description="AdamW's, of matrices.")
    clip: float = Field(1.0, gt=0, description="Largest norm of the gradient.")
    augment: Literal["none", "flip", "crop", "crop-flip", "trivial"] = Field(
        "crop-flip", description="Image augmentation: padded crops, flips, or TrivialAugment."
    )
    image_size: int | None = Field(None, ge=1, description="Side in pixels, for models that take any size.")
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
        "shuffled:DIR, stats:DIR or scratch-flops[:DIR].",
    )
    seeds: int = Field(3, ge=1, description="Runs of each start; run k adds k to every seed.")
    lr: float = Field(1e-3, gt=0, description="First learning rate tried.")
    lr_trials: int = Field(3, ge=1, description="Learning rates tried for each start, on data kept for it.")
    marks: int = Field(24, ge=2, description="How often each run is scored on the validation data.")
    workers: int = Field(0, ge=0, description="Runs at a time; 0: one per core, or one where there is a GPU.")
    require: str | None = Field(
        None, description="Exit 1 unless this holds: [START:]MEASURE OP NUMBER, as in speedup>=2."
    )


class MetalearnRecipe(LoopRecipe):
    """Learn, from a set of signals, the weights from which a field fits a new one in a few steps."""

    without_effect: ClassVar[frozenset[str]] = frozenset({"out", "tracker", "save_every", "origin"})

    stage: Annotated[Literal["metalearn"], Parameter(parse=False)] = "metalearn"
    data: Annotated[str, Parameter(parse=False)] = ""  # the command's argument
    kind: Literal["image", "audio", "shape", "ct", "views"] = Field("image", description="What the signals are.")
    signal_args: Arguments = Field({}, description="Conventions of the signals: key=value,... as in channels=1,crop=64")
    field: str | None = Field(
        None,
        description="Coordinate network: siren, finer, gauss, wire, fourier or positional; by default a siren "
        "of the shape that learned best for the kind.",
    )
    field_args: Arguments = Field({}, description="Overrides of the field: key=value,... as in hidden=128,frequency=50")
    init: Literal["own", "vi3nr", "winner"] = Field(
        "own", description="Initial weights: as the field's authors draw them, VI3NR or WINNER."
    )
    algorithm: Literal["maml", "fomaml", "reptile", "reptile-interpolation", "tinyreptile", "strainer"] = Field(
        "maml", description="How to learn the start."
    )
    inner_steps: int = Field(2, ge=1, le=1000, description="Steps of adaptation that are learned for.")
    inner_rate: float | None = Field(
        None, gt=0, description="Rate of those steps, or where learned rates begin; by default one that suits the kind."
    )
    inner_rates: Literal["learned", "fixed"] = Field(
        "learned", description="Learn a rate for each tensor and step (MAML and FOMAML), or keep the one."
    )
    objective: Literal["psnr", "loss"] = Field(
        "psnr", description="What is averaged over signals: the logarithm of the loss, or the loss."
    )
    steps: int = Field(1000, ge=1, description="Outer steps.")
    batch_size: int = Field(1, ge=1, description="Signals of one outer step, over all processes.")
    points: int = Field(8192, ge=0, description="Observations of a signal that one step looks at; 0: all of them.")
    lr: float = Field(0.02, gt=0, description="Outer rate.")
    relative: bool = Field(True, description="Outer rates are relative to each tensor's own scale.")
    clip: float = Field(10.0, gt=0, description="Largest norm of the outer gradient.")
    tune: int = Field(8, ge=1, description="Training signals held out to watch the learning and to choose rates.")
    trials: int = Field(12, ge=0, description="Test-time settings tried for each budget; 0: recommend nothing.")
    origin: str | None = Field(None, description="Where the signals come from, and their licence, for the model card.")
    budget: Annotated[list[int], Parameter(negative=())] = Field(
        [1, 2, 5, 10, 50, 200], description="A number of steps to recommend settings for, once for each."
    )


class FitRecipe(Recipe):
    """Fit signals from a learned start."""

    without_effect: ClassVar[frozenset[str]] = frozenset({"out", "render", "render_size", "curve", "separate"})

    stage: Annotated[Literal["fit"], Parameter(parse=False)] = "fit"
    start: Annotated[str, Parameter(parse=False)] = ""  # the command's arguments
    data: Annotated[str, Parameter(parse=False)] = ""
    steps: int = Field(2, ge=0, le=1_000_000, description="Steps to make.")
    optimizer: Literal["recommended", "sgd", "adam"] = Field(
        "recommended", description="As the start recommends for so many steps, or one of torch's with --rate."
    )
    rate: float | None = Field(None, gt=0, description="Of that optimizer.")
    points: int = Field(
        0, ge=0, description="Random observations of a signal that one step looks at; 0: all, of huge signals many."
    )
    signal_args: Arguments = Field({}, description="Changes of the start's conventions: key=value,... as in views=4")
    batch_size: int = Field(8, ge=1, description="Signals fitted at a time.")
    render: str | None = Field(None, description="File to draw what was fitted to; a folder for several signals.")
    render_size: int | None = Field(None, ge=1, le=1 << 14, description="Of the longest side, instead of its own.")
    curve: str | None = Field(None, description="CSV file for the metric after each step.")
    separate: Flag = Field(False, description="Several signals: one directory each instead of stacked tensors.")
    seed: int = Field(0, ge=0, description="Of the random observations.")
    threads: int = Field(0, ge=0, description="CPU threads; 0: as many as cores.")


RECIPES: dict[str, type[Recipe]] = {
    "subclone": SubcloneRecipe,
    "train": TrainRecipe,
    "compare": CompareRecipe,
    "metalearn": MetalearnRecipe,
    "fit": FitRecipe,
}
R = TypeVar("R", bound=Recipe)


def make_recipe(kind: type[R], data: Mapping[str, Any], where: str = "recipe") -> R:
    """Validate a recipe; raises UsageError naming the field."""
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        raise refusal(kind, error, where) from error


def refusal(kind: type[Recipe], error: ValidationError, where: str) -> UsageError:
    """Say which field is wrong and why."""
    first = min(error.errors(), key=lambda e: e["type"] == "missing")  # a misspelt field is missing, too
    field = ".".join(map(str, first["loc"]))
    hint = did_you_mean(field, list(kind.model_fields)) if first["type"] == "extra_forbidden" else ""
    return UsageError(f"{where}: {printable(field)}: {first['msg'].lower()}.{hint}")


def load_recipe(path: Path) -> Recipe:
    """Read a recipe; raises InputError where it cannot be read, UsageError where it says something unknown."""
    shown = printable(str(path))
    try:
        data = yaml.safe_load(read_small(path, MAX_BYTES).decode())
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{shown}: not valid YAML") from error
    if not isinstance(data, dict):
        raise UsageError(f"{shown}: expected 'key: value' lines, found {type(data).__name__}")
    stage = data.get("stage", "subclone")
    if stage not in RECIPES:
        raise UsageError(f"{shown}: unknown stage '{printable(str(stage))}'.{did_you_mean(str(stage), [*RECIPES])}")
    return make_recipe(RECIPES[stage], data, shown)
