"""What a task is: data, a loss, a metric, and which direction is better."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from weightgen.training.optimizer import make_optimizer
from weightgen.training.settings import Settings

if TYPE_CHECKING:
    import torch

Split = Literal["train", "tune", "validation", "test"]
"""`tune` chooses learning rates, `validation` draws the curves, `test` is looked at once: three disjoint sets."""
Batch = dict[str, Any]


@dataclass(frozen=True)
class Metric:
    """How the scores of single items become one number."""

    name: str
    higher_is_better: bool
    exponentiate: bool = False
    """The metric is the exponential of the mean (perplexity of mean surprise)."""
    limits: tuple[float, float] = (-np.inf, np.inf)
    """What the metric can be; intervals end there."""

    def of(self, scores: np.ndarray) -> np.ndarray:
        """Return the metric over the last axis of per-item scores, (..., items) -> (...)."""
        mean = np.mean(scores, axis=-1, dtype=np.float64)
        return np.asarray(np.exp(mean) if self.exponentiate else mean)


@dataclass(frozen=True)
class Shown:
    """An item of the validation split that a race shows pictures of."""

    item: int
    title: str
    beside: Mapping[str, bytes]
    """What is shown beside the results: PNGs by their captions."""


class Task(ABC):
    """Data, loss and metric of one kind of training."""

    name: ClassVar[str]
    metric: Metric
    sizes: Mapping[str, int]
    """Items of each split."""
    of_many: ClassVar[bool] = False
    """Whether the model is many networks, of which single ones may be lost: the task itself then says which."""
    further: Mapping[str, Callable[[Any, Batch], torch.Tensor]] = {}
    """Other scores of the test items, by name: from outputs and batch to (items,)."""
    scoring_batch: int = 256
    """Items that are scored at a time, from the first: fewer where outputs are large."""
    shown: Sequence[Shown] = ()
    """What `draw` draws; most tasks have nothing to see."""

    @abstractmethod
    def batch(self, split: Split, items: Sequence[int], draws: Sequence[int] | None = None) -> Batch:
        """Return the tensors of these items; `draws`, one seed an item, augment them (training only)."""

    @abstractmethod
    def forward(self, model: torch.nn.Module, batch: Batch) -> Any:
        """Run the model; what it returns is handed to `loss` or `scores`."""

    @abstractmethod
    def loss(self, outputs: Any, batch: Batch) -> torch.Tensor:
        """Return the mean loss over the batch's terms, a scalar."""

    @abstractmethod
    def scores(self, outputs: Any, batch: Batch) -> torch.Tensor:
        """Return what the metric averages, (items,)."""

    @abstractmethod
    def check(self, model: torch.nn.Module) -> None:
        """Raise UsageError where the data do not fit the model (channels, classes, length)."""

    def draw(self, model: torch.nn.Module) -> list[bytes]:
        """Return PNGs of what a model makes of the items that are `shown`."""
        raise NotImplementedError(f"{self.name} shows nothing")

    def terms(self, batch: Batch) -> int:
        """Return over how many terms `loss` is a mean: items, or predicted tokens."""
        return len(next(iter(batch.values())))

    def optimizer(self, model: torch.nn.Module, settings: Settings) -> torch.optim.Optimizer:
        """Return what moves the model's parameters: AdamW, unless the task's own literature has another."""
        return make_optimizer(model, settings)

    def configure(self, model: torch.nn.Module) -> None:  # noqa: B027 - most configurations say nothing of data
        """Write into a model's configuration what its library needs to prepare such data."""

    def place(self, device: torch.device) -> None:  # noqa: B027 - most tasks hold no tensors
        """Move what the task itself holds (a teacher) to a device."""
