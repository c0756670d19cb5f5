"""Meta-learning as a task: what the training loop needs to know of signals, tasks and their score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from weightgen.errors import UsageError
from weightgen.inr.derivatives import Batch
from weightgen.inr.field import Field
from weightgen.inr.fitting import MANY, stack
from weightgen.inr.learner import MetaLearner
from weightgen.inr.signals.kind import Kind, Signal
from weightgen.inr.strainer import Strainer
from weightgen.training.settings import Settings
from weightgen.training.task import Split, Task

HARMONICS = 0.1  # of their distance: how far the outer rate moves them where it moves others by their own size


class MetaTask(Task):
    """Adapt to a signal in a few steps; the metric is the kind's, after the inner steps, on complete signals."""

    name = "metalearn"
    scoring_batch = 1  # signals differ in size

    def __init__(
        self,
        kind: Kind,
        signals: Mapping[Split, list[Signal]],
        steps: int,
        points: int,
        *,
        relative: bool = False,
        rates_rate: float = 0.1,
        interpolate: bool = False,
    ) -> None:
        """`points`: observations that each inner step, and the outer one, looks at; 0: all of them.

        `relative`: the outer rate is a fraction of each tensor's own scale. `rates_rate`: outer rate of the logarithms
        of learned inner rates. `interpolate`: move the start towards the adapted weights by the outer rate itself.
        """
        self.kind, self.signals, self.steps, self.points = kind, signals, steps, points
        self.relative, self.rates_rate, self.interpolate = relative and not interpolate, rates_rate, interpolate
        self.metric = kind.metric
        self.sizes = {split: len(found) for split, found in signals.items()}

    def batch(self, split: Split, items: Sequence[int], draws: Sequence[int] | None = None) -> dict[str, Batch]:
        if draws is None:
            (item,) = items
            signal = self.kind.standard(self.signals[split][item])
            count = self.kind.count(signal)
            few, which = MANY * count // self.kind.points(signal), None
            if few < count:  # a volume's rays, as a fit of so few steps would look at them
                which = torch.randint(count, (few,), generator=torch.Generator().manual_seed(0))
            fitted, judged = self.kind.observe(signal, which), self.kind.judged(signal)
            return {"fitted": stack([fitted]), "judged": stack([judged])}
        generators = [torch.Generator().manual_seed(draw) for draw in draws]
        found = [self.kind.augmented(self.signals[split][i], g) for i, g in zip(items, generators, strict=True)]
        largest = max(self.kind.count(s) for s in found)
        points = min(self.points, largest) if self.points else largest
        tasks = []
        for signal, generator in zip(found, generators, strict=True):
            whiches = [_some(self.kind.count(signal), points, generator) for _ in range(self.steps + 1)]
            tasks.append(stack([self.kind.observe(signal, which, generator) for which in whiches]))
        numbers = torch.tensor(items).unsqueeze(1)
        return {"steps": stack(tasks), "items": {"item": numbers}}

    def forward(self, model: torch.nn.Module, batch: dict[str, Batch]) -> Any:
        return model(batch)

    def loss(self, outputs: Any, batch: dict[str, Batch]) -> Tensor:
        mean: Tensor = outputs.mean()
        return mean

    def scores(self, outputs: Any, batch: dict[str, Batch]) -> Tensor:
        found: Tensor = outputs
        return found

    def terms(self, batch: dict[str, Batch]) -> int:
        return len(next(iter(batch["steps"].values())))

    def check(self, model: torch.nn.Module) -> None:
        config = field_of(model).config
        if (config.inputs, config.outputs) != (self.kind.inputs, self.kind.outputs):
            raise UsageError(
                f"the field maps {config.inputs} coordinates to {config.outputs} values, "
                f"{self.kind.name} signals have {self.kind.inputs} and {self.kind.outputs}"
            )

    def flops(self, model: torch.nn.Module) -> float:
        """Return the operations that one signal of a step costs: of passes through the products of the layers."""
        products = sum(p.numel() for n, p in field_of(model).named_parameters() if n.endswith("weight"))
        signal = self.kind.standard(self.signals["train"][0])
        looked = min(self.points or self.kind.count(signal), self.kind.count(signal))
        points = looked * self.kind.points(signal) / self.kind.count(signal)
        return 2.0 * products * points * (model.passes if isinstance(model, MetaLearner) else 3)

    def optimizer(self, model: torch.nn.Module, settings: Settings) -> torch.optim.Optimizer:
        """Adam; its rate for a tensor is relative to the root mean square of the initial values, where asked for; that
        of harmonics to their distance, beside which a small part of a high frequency can be large.

        Reptile's interpolation is plain descent along the displacement.
        """
        groups: list[dict[str, Any]] = []
        spacing = field_of(model).spacing
        for name, parameter in model.named_parameters():
            size = float(parameter.detach().square().mean().sqrt()) if self.relative else 1.0
            if self.relative and spacing and name.startswith("field.net.0."):
                size = HARMONICS * spacing
            rate = self.rates_rate if name == "log_rates" else settings.learning_rate * (size or 1.0)
            if parameter.requires_grad:
                groups.append({"params": [parameter], "lr": rate})
        return torch.optim.SGD(groups) if self.interpolate else torch.optim.Adam(groups, fused=True)


def field_of(model: torch.nn.Module) -> Field:
    """Return the field that a learner learns."""
    assert isinstance(model, MetaLearner | Strainer)
    return model.field


def _some(count: int, points: int, generator: torch.Generator) -> Tensor:
    """Return which observations to look at: some at random, or all of a signal that has no more, over and over."""
    return torch.randperm(count, generator=generator)[:points] if points < count else torch.arange(points) % count
