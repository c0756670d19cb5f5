"""STRAINER (Vyas et al. 2024): hidden layers shared by an ordinary joint fit of several signals."""

from __future__ import annotations

import torch
from torch import Tensor

from weightgen.inr.derivatives import Batch
from weightgen.inr.field import Field
from weightgen.inr.fitting import Adaptation, evaluator, fit, stacked
from weightgen.inr.layer import Layer
from weightgen.inr.signals.kind import Kind


class Strainer(torch.nn.Module):
    """All layers but the last shared, the last one each signal's own.

    Called with {"steps": observations (T, 1, M, ...), "items": {"item": (T, 1)}} it returns the signals' losses, (T,);
    called with {"fitted", "judged"} the metric after a few steps of Adam from the start. The start is the shared
    layers under the field's own, random, last layer.
    """

    def __init__(self, field: Field, kind: Kind, signals: int, steps: int, rate: float) -> None:
        super().__init__()
        self.field, self.kind, self.steps, self.rate = field, kind, steps, rate
        last = field.net[-1]
        assert isinstance(last, Layer)
        self.weights = torch.nn.Parameter(last.weight.detach().repeat(signals, *([1] * last.weight.ndim)))
        self.biases = torch.nn.Parameter(last.bias.detach().repeat(signals, *([1] * last.bias.ndim)))
        last.requires_grad_(False)

    def forward(self, batch: dict[str, Batch]) -> Tensor:
        if "judged" in batch:
            return self._score(batch["fitted"], batch["judged"])
        items = batch["items"]["item"][:, 0]
        name = f"net.{len(self.field.net) - 1}."
        tensors = {n: p.expand(len(items), *p.shape) for n, p in self.field.named_parameters()}
        tensors |= {name + "weight": self.weights[items], name + "bias": self.biases[items]}
        looks = {n: v[:, 0] for n, v in batch["steps"].items()}
        return self.kind.loss(self.kind.predict(lambda x: self.field(x, tensors), looks), looks)

    def _score(self, fitted: Batch, judged: Batch) -> Tensor:
        tasks = len(next(iter(fitted.values())))
        adaptation = Adaptation(optimizer="adam", rate=self.rate)
        run = fit(self.field, self.kind, stacked(self.field, tasks), lambda: [(fitted, 1.0)], self.steps, adaptation)
        return self.kind.score(evaluator(self.field, run.tensors), judged)
