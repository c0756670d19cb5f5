"""Teaching concepts to networks as a task: what the training loop needs to know of a stack of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from weightgen.diffusion.examples import Examples
from weightgen.diffusion.stack import Stack, StackAdam
from weightgen.errors import UsageError
from weightgen.training.settings import Settings
from weightgen.training.task import Batch, Metric, Split, Task

CROPS = 1 << 12  # of an epoch; the next one has others
UNCLIPPED = 1e9
"""For `Settings.clip`: the stack's own optimizer limits each network's gradient, and the loop that of all together."""


class CollectTask(Task):
    """One network for each concept; the loss is the sum of their mean absolute errors."""

    name = "collect"
    of_many = True
    metric = Metric("PSNR", higher_is_better=True)

    def __init__(self, examples: Examples, size: int, clip: float) -> None:
        """`size` of a crop in pixels; `clip`: largest norm of one network's gradient."""
        self.examples, self.size, self.clip = examples, size, clip
        self.sizes = {"train": CROPS, "validation": 0}

    def batch(self, split: Split, items: Sequence[int], draws: Sequence[int] | None = None) -> Batch:
        assert draws is not None
        # The order of the data and the seeds of a step both decide which crops it sees, and nothing else does.
        return self.examples.draw([draw ^ item for item, draw in zip(items, draws, strict=True)], self.size)

    def forward(self, model: torch.nn.Module, batch: Batch) -> Any:
        return model(batch["images"], batch["positions"], self.examples.targets(batch))

    def loss(self, outputs: Any, batch: Batch) -> Tensor:
        total: Tensor = outputs.sum()
        return total

    def scores(self, outputs: Any, batch: Batch) -> Tensor:
        raise NotImplementedError("networks are judged by `quality`, each on its own concept")

    def terms(self, batch: Batch) -> int:
        return int(batch["images"].shape[1])

    def check(self, model: torch.nn.Module) -> None:
        assert isinstance(model, Stack)
        if len(model.lost) != len(self.examples.concepts):
            raise UsageError(f"{len(model.lost)} networks cannot learn {len(self.examples.concepts)} concepts")

    def optimizer(self, model: torch.nn.Module, settings: Settings) -> torch.optim.Optimizer:
        return StackAdam(model, settings.learning_rate, self.clip)
