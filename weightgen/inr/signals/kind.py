"""What a kind of signal is: how it is read, what a field is asked about it, how a fit is judged and written."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from weightgen.errors import UsageError
from weightgen.inr.config import Strict
from weightgen.inr.derivatives import Batch
from weightgen.inr.signals.grids import Coordinates
from weightgen.training.task import Metric

Evaluate = Callable[[Tensor], Tensor]
"""A field with its weights fixed: coordinates (T, N, inputs) to values (T, N, outputs)."""
JUDGED = 1 << 20
PSNR = Metric("PSNR", higher_is_better=True)


@dataclass(frozen=True)
class Signal:
    """One signal: its name and its samples."""

    name: str
    data: Any
    """What the kind keeps: pixels, samples, points with distances, rays with colours."""
    scale: float = 1.0
    """What its values were divided by, and what is drawn is multiplied by."""
    remark: str | None = None
    """What is poor about it, where it can be used all the same."""


@dataclass(frozen=True)
class Suited:
    """What learns well from a kind of signal, where nobody says otherwise."""

    arguments: Mapping[str, Any]
    """Of a siren."""
    rate: float
    """Inner rate."""
    first_rate: float | None = None
    """That of the first layer, where it is another."""


class Kind(ABC):
    """Rules of one kind of signal, made from its conventions, which are the `signal` part of a start's config.json."""

    name: ClassVar[str]
    Config: ClassVar[type[Strict]]
    """The conventions: value and coordinate ranges, channels, rates, angles."""
    metric: ClassVar[Metric] = PSNR
    suited: ClassVar[Suited] = Suited({"hidden": 256, "hidden_layers": 2}, 0.02)
    suffixes: tuple[str, ...]
    """Of the files that `save` writes; the first where nothing else is asked for."""
    coordinates: Coordinates = Coordinates()
    """Of the grid that signals lie on, where they lie on one; others fill [-1, 1] as well."""
    inputs: int
    """Coordinates of a point."""
    outputs: int
    """Values at a point."""
    dimensions: ClassVar[int]
    """Sizes in the `shape` of a signal."""
    sizes: ClassVar[tuple[int, int]] = (1, 1 << 14)
    """Smallest and largest side that is drawn."""
    read_by: ClassVar[tuple[str, ...]]
    """Conventions that decide what `load` makes of a file."""

    def __init__(self, config: Strict) -> None:
        self.config = config

    @classmethod
    @abstractmethod
    def conventions(cls, data: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what a set of signals to learn from says of its conventions; `arguments` are the user's own."""

    @classmethod
    def own(cls, data: str) -> Mapping[str, Any]:
        """Return the conventions that signals to fit bring along, whatever their start says: none but a camera."""
        return {}

    @abstractmethod
    def load(self, data: str) -> list[Signal]:
        """Read the signals of a file, folder, zip or dataset; raises InputError for what cannot be used."""

    @abstractmethod
    def count(self, signal: Signal) -> int:
        """Return how many observations a signal has (pixels, samples, rays)."""

    @abstractmethod
    def observe(self, signal: Signal, which: Tensor | None = None, generator: torch.Generator | None = None) -> Batch:
        """Return observations (M, ...), all or those of the indices `which`; `coordinates` among them.

        `generator` draws what may be random in looking at them (places along a ray); without one it is the middle.
        """

    def judged(self, signal: Signal) -> Batch:
        """Return what a fit is judged on, (M, ...): all observations, unless something else was to be recovered.

        Of very large signals, a million of them at random: that changes a PSNR by less than a hundredth of a dB.
        """
        count = self.count(signal)
        if count <= JUDGED:
            return self.observe(signal)
        return self.observe(signal, torch.randint(count, (JUDGED,), generator=torch.Generator().manual_seed(0)))

    def check_size(self, size: int) -> None:
        """Raise UsageError for a side that is not drawn."""
        low, high = self.sizes
        if not low <= size <= high:
            raise UsageError(f"{self.name} signals are drawn at sizes from {low} to {high}, not {size}")

    def itself(self, signal: Signal) -> Any | None:
        """Return a signal as `render` would draw a perfect fit of it; None where no picture shows it."""
        return None

    def aimed(self, signal: Signal) -> Kind:
        """Return this kind as it draws what `itself` shows of a signal: a scene through that view's camera."""
        return self

    def coverage(self, signal: Signal) -> float:
        """Return the area that a signal covers of [-1, 1]^inputs, as a fraction of what the learning signals covered.

        A loss is a mean over the signal: the smaller its area, the further a step at one rate moves the field there.
        """
        return 1.0

    def points(self, signal: Signal) -> int:
        """Return at how many points the field is evaluated for all observations: one each, or all along a ray."""
        return self.count(signal)

    def augmented(self, signal: Signal, generator: torch.Generator) -> Signal:
        """Return a random variant of a training signal."""
        return signal

    def standard(self, signal: Signal) -> Signal:
        """Return the part of a signal that is learned from and judged (a centre crop); itself by default."""
        return signal

    def predict(self, evaluate: Evaluate, batch: Batch) -> Tensor:
        """Return what the field says the observations are, (T, M, channels): its value at a point, or mean at several.

        Coordinates are (T, M, inputs) or (T, M, S, inputs).
        """
        points = batch["coordinates"]
        if points.ndim == 3:
            return evaluate(points)
        return evaluate(points.flatten(1, 2)).view(*points.shape[:3], self.outputs).mean(2)

    def loss(self, predicted: Tensor, batch: Batch) -> Tensor:
        """Return each task's mean squared error, (T,)."""
        return (predicted - batch["values"]).square().mean((1, 2))

    def score(self, evaluate: Evaluate, batch: Batch) -> Tensor:
        """Return each task's metric over what `judged` gave, (T,): PSNR in dB with peak 1, unclipped values."""
        return psnr((evaluate(batch["coordinates"]) - batch["values"]).square().mean((1, 2)))

    @abstractmethod
    def shape(self, signal: Signal) -> list[int]:
        """Return the sizes of the grid that a signal is drawn on: rows and columns, samples."""

    @abstractmethod
    def render(self, evaluate: Evaluate, shape: Sequence[int], size: int | None = None) -> Any:
        """Return what the field shows on a grid of that shape, or of `size` cells along its longest side."""

    @abstractmethod
    def save(self, rendered: Any, scratch: Path, shape: Sequence[int]) -> None:
        """Write a rendering of a signal of that shape to a file of the kind's format."""


def psnr(error: Tensor) -> Tensor:
    """Return -10 log10 of mean squared errors, for values whose range is 1."""
    return -10 * torch.log10(error)
