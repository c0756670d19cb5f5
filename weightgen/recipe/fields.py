"""The recipes of `weightgen metalearn` and `weightgen fit`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from cyclopts import Parameter
from pydantic import Field

from weightgen.recipe.base import ARGUMENT, Arguments, Flag, Recipe, Seed
from weightgen.recipe.training import LoopRecipe


class MetalearnRecipe(LoopRecipe):
    """Learn, from a set of signals, the weights from which a field fits a new one in a few steps."""

    without_effect: ClassVar[frozenset[str]] = frozenset({"out", "tracker", "save_every", "origin"})

    stage: Annotated[Literal["metalearn"], Parameter(parse=False)] = "metalearn"
    data: Annotated[str, ARGUMENT] = Field(
        "",
        description="Folder or zip of signals; its folders train and test (or validation), where it has them, say "
        "which is which.",
    )
    kind: Literal["image", "audio", "shape", "ct", "views"] = Field("image", description="What the signals are.")
    signal_args: Arguments = Field({}, description="Conventions of the signals: key=value,... as in channels=1,crop=64")
    field: str | None = Field(
        None,
        description="Coordinate network: siren, harmonic, finer, gauss, wire, fourier or positional; by default a "
        "siren of the shape that learned best for the kind.",
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
        None,
        gt=0,
        description="Rate of those steps (of strainer: Adam's), or where learned rates begin; by default one that "
        "suits the kind.",
    )
    first_rate: float | None = Field(
        None, gt=0, description="Inner rate of the first layer alone: lower where its frequency is high."
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
    budget: Annotated[list[Annotated[int, Field(ge=1)]], Parameter(negative=())] = Field(
        [1, 2, 5, 10, 50, 200], description="A number of steps to recommend settings for, once for each."
    )


class FitRecipe(Recipe):
    """Fit signals from a learned start."""

    without_effect: ClassVar[frozenset[str]] = frozenset({"out", "render", "render_size", "curve", "separate"})

    stage: Annotated[Literal["fit"], Parameter(parse=False)] = "fit"
    start: Annotated[str, ARGUMENT] = Field("", description="Directory of the start, as weightgen metalearn writes it.")
    data: Annotated[str, ARGUMENT] = Field("", description="A signal's file, or a folder or zip of them.")
    steps: int = Field(2, ge=0, le=1_000_000, description="Steps to make.")
    optimizer: Literal["recommended", "sgd", "adam"] = Field(
        "recommended", description="As the start recommends for so many steps, or one of torch's with --rate."
    )
    rate: float | None = Field(None, gt=0, description="Of that optimizer.")
    points: int = Field(
        0,
        ge=0,
        description="Random observations of a signal that one step looks at; 0: all, of huge signals many. "
        "Far fewer than a start was learned with are too noisy for its learned rates.",
    )
    signal_args: Arguments = Field({}, description="Changes of the start's conventions: key=value,... as in views=4")
    batch_size: int = Field(8, ge=1, description="Signals fitted at a time.")
    render: str | None = Field(None, description="File to draw what was fitted to; a folder for several signals.")
    render_size: int | None = Field(None, ge=1, description="Of the longest side, instead of its own.")
    curve: str | None = Field(None, description="CSV file for the metric after each step.")
    separate: Flag = Field(False, description="Several signals: one directory each instead of stacked tensors.")
    seed: Seed = Field(0, description="Of the random observations.")
    threads: int = Field(0, ge=0, description="CPU threads; 0: as many as cores.")

    def place(self) -> Path | None:
        """Return `out`: a fit can be drawn without being kept."""
        return Path(self.out) if self.out else None
