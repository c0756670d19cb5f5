"""The fields of results.json, schema 1."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from pydantic import ConfigDict, Field, with_config
from typing_extensions import TypedDict

from weightgen.starts.start import Kind

SCHEMA = 1

LARGEST = 1e150  # the square of a number that is drawn must still be one
Finite = Annotated[float, Field(allow_inf_nan=False, ge=-LARGEST, le=LARGEST)]
NotNegative = Annotated[float, Field(allow_inf_nan=False, ge=0, le=LARGEST)]
Natural = Annotated[int, Field(ge=0, lt=1 << 53)]
Positive = Annotated[int, Field(ge=1, lt=1 << 53)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Text = Annotated[str, Field(max_length=20_000)]
Line = Annotated[list[Finite], Field(min_length=1, max_length=10_000)]
FORBID = ConfigDict(extra="forbid")


@with_config(FORBID)
class MetricFields(TypedDict):
    """`weightgen.training.task.Metric`."""

    name: Name
    higher_is_better: bool
    exponentiate: bool


@with_config(FORBID)
class TaskFields(TypedDict):
    """What was trained."""

    name: Name
    data: Text
    metric: MetricFields


@with_config(FORBID)
class BudgetFields(TypedDict):
    """What every start was given."""

    steps: Natural
    batch_size: Positive
    seeds: Positive


@with_config(FORBID)
class IntervalMethod(TypedDict):
    """How the intervals were made; `over` is "items" where one seed cannot vary."""

    level: Finite
    draws: Positive
    over: Literal["seeds and items", "items"]


@with_config(FORBID)
class TrialFields(TypedDict):
    """One learning rate that was tried; no score where the loss was not finite."""

    learning_rate: Finite
    score: Finite | None


@with_config(FORBID)
class CurveFields(TypedDict):
    """Validation metric at the marks."""

    steps: Annotated[list[Natural], Field(min_length=1, max_length=10_000)]
    mean: Line
    low: Line
    high: Line
    seeds: Annotated[list[Line], Field(min_length=1, max_length=1000)]


@with_config(FORBID)
class IntervalFields(TypedDict):
    """A value with its 95 % interval."""

    value: Finite
    low: Finite
    high: Finite


@with_config(FORBID)
class TestFields(IntervalFields):
    """Test metric at the end, and that of each seed."""

    seeds: Line


@with_config(FORBID)
class SpeedupFields(TypedDict):
    """`weightgen.compare.speedup.Speedup`."""

    value: NotNegative | None
    low: NotNegative
    high: NotNegative
    at_most: NotNegative | None
    steps: NotNegative | None


Milestones = TypedDict(
    "Milestones", {"0": IntervalFields, "1 %": IntervalFields, "10 %": IntervalFields, "100 %": IntervalFields}
)


@with_config(FORBID)
class StartFields(TypedDict):
    """One start of the race."""

    name: Name
    text: Text
    kind: Kind
    learning_rate: Finite | None
    trials: Annotated[list[TrialFields], Field(max_length=1000)]
    curve: CurveFields
    milestones: Milestones
    test: TestFields
    difference: IntervalFields | None
    speedup: SpeedupFields
    speedup_best: SpeedupFields
    flops_making: NotNegative
    flops_per_step: NotNegative
    seconds: NotNegative
    diverged: list[Natural]
    sentence: Text
    lineage: dict[str, Any]


@with_config(FORBID)
class PictureFields(TypedDict):
    """What a run makes of a held-out item after so many steps, or what it should: a PNG in base64."""

    signal: Name
    start: Name
    step: Natural
    score: Finite
    size: Positive
    png: Annotated[str, Field(max_length=1 << 20, pattern=r"^[A-Za-z0-9+/=]+$")]


@with_config(FORBID)
class Results(TypedDict):
    """The whole file."""

    schema: Literal[1]
    created_by: Name
    title: Name
    task: TaskFields
    budget: BudgetFields
    interval: IntervalMethod
    baseline: Name
    starts: Annotated[list[StartFields], Field(min_length=1, max_length=100)]
    environment: dict[str, Any]
    recipe: Annotated[str, Field(max_length=1 << 20)]
    command: Text
    pictures: NotRequired[Annotated[list[PictureFields], Field(max_length=1000)]]
