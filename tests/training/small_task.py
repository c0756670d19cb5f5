"""A task small enough to train hundreds of times: noisy linear regression, with dropout and augmentation.

As a program, it trains one run: `python small_task.py SETTINGS-JSON STATES OUT [KILL]`, where KILL is `before:N`,
`during:N` (while the state of step N is being written) or `after:N`.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from weightgen.training.settings import Settings
from weightgen.training.task import Batch, Metric, Split, Task

WIDTH = 8


class Regression(Task):
    """Fit y = w.x + noise; the score of an item is its squared error."""

    name = "regression"
    metric = Metric("squared error", higher_is_better=False)

    def __init__(self) -> None:
        self.sizes = {"train": 100, "tune": 20, "validation": 30, "test": 40}
        generator = torch.Generator().manual_seed(0)
        weight = torch.randn(WIDTH, generator=generator)
        self.x = {k: torch.randn(n, WIDTH, generator=generator) for k, n in self.sizes.items()}
        self.y = {k: x @ weight for k, x in self.x.items()}

    def batch(self, split: Split, items: Sequence[int], draws: Sequence[int] | None = None) -> Batch:
        x = self.x[split][list(items)]
        if draws is not None:
            noise = [np.random.default_rng(d).standard_normal(WIDTH) for d in draws]
            x = x + 0.1 * torch.tensor(np.stack(noise), dtype=torch.float32)
        return {"x": x, "y": self.y[split][list(items)]}

    def forward(self, model: torch.nn.Module, batch: Batch) -> torch.Tensor:
        found: torch.Tensor = model(batch["x"])[:, 0]
        return found

    def loss(self, outputs: Any, batch: Batch) -> torch.Tensor:
        return ((outputs - batch["y"]) ** 2).mean()

    def scores(self, outputs: Any, batch: Batch) -> torch.Tensor:
        return torch.as_tensor((outputs - batch["y"]) ** 2)

    def check(self, model: torch.nn.Module) -> None:
        """Every model of this width fits."""


def network(dropout: float = 0.2) -> torch.nn.Module:
    """A small network whose training draws random numbers."""
    torch.manual_seed(1)
    layers = (torch.nn.Linear(WIDTH, 16), torch.nn.GELU(), torch.nn.Dropout(dropout), torch.nn.Linear(16, 1))
    return torch.nn.Sequential(*layers)


def settings(**changes: Any) -> Settings:
    """Forty short steps, saved every ten."""
    usual: dict[str, Any] = {"steps": 40, "batch_size": 12, "learning_rate": 0.01, "ema": 0.9}
    return Settings(**(usual | {"marks": (0, 15, 40), "save_every": 10} | changes))


def main() -> None:
    from weightgen.training import accelerator
    from weightgen.training import loop as training

    given, states, out = json.loads(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
    torch.set_num_threads(1)
    if len(sys.argv) > 4:
        when, _, step = sys.argv[4].partition(":")
        _kill(when, int(step))
    trained = training.train(network(given.pop("dropout", 0.2)), Regression(), settings(**given), states)
    if accelerator.is_main_process():
        tensors = {k: v.clone() for k, v in trained.model.state_dict().items()}
        torch.save({**tensors, "curve": torch.from_numpy(trained.curve), "losses": trained.losses}, out)
    accelerator.end()


def _kill(when: str, step: int) -> None:
    from weightgen.publishing import checkpoint
    from weightgen.training import loop as training

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    loop: Any = training._Loop
    if when == "during":
        written: Any = checkpoint.write_manifest

        def write(directory: Path, extra: Any) -> None:
            if extra.get("step") == step:
                die()
            written(directory, extra)

        checkpoint.write_manifest = write
    else:
        train_step = loop._train_step

        def stepping(self: Any, *arguments: Any) -> Any:
            if when == "before" and self.step == step:
                die()
            found = train_step(self, *arguments)
            if when == "after" and self.step == step:
                die()
            return found

        loop._train_step = stepping


if __name__ == "__main__":
    main()
