"""Knowledge distillation as an option of any classification-like task (Hinton et al. 2015, section 2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from weightgen.errors import UsageError
from weightgen.training.task import Batch, Split, Task


class Distilled(Task):
    """A task whose loss also asks for the teacher's distribution: (1 - w) loss + w T^2 KL(teacher_T || student_T)."""

    def __init__(self, task: Task, teacher: torch.nn.Module, weight: float, temperature: float) -> None:
        self.name, self.metric, self.sizes = task.name, task.metric, task.sizes  # type: ignore[misc]
        self.scoring_batch = task.scoring_batch
        self._task, self._weight, self._temperature = task, weight, temperature
        self._teacher = teacher.eval().requires_grad_(False)

    def batch(self, split: Split, items: Sequence[int], draws: Sequence[int] | None = None) -> Batch:
        return self._task.batch(split, items, draws)

    def forward(self, model: torch.nn.Module, batch: Batch) -> Any:
        outputs = self._task.forward(model, batch)
        if not torch.is_grad_enabled():  # being scored: the teacher has no say
            return outputs, None
        with torch.no_grad():
            return outputs, self._task.forward(self._teacher, batch)

    def loss(self, outputs: Any, batch: Batch) -> torch.Tensor:
        student, teacher = outputs
        if student.shape != teacher.shape:
            raise UsageError(
                f"the teacher has {teacher.shape[-1]} outputs, the model {student.shape[-1]}: "
                "one can imitate the other only where both tell the same classes or tokens apart"
            )
        t = self._temperature
        ours = torch.log_softmax(student.flatten(0, -2) / t, -1)
        theirs = torch.log_softmax(teacher.flatten(0, -2) / t, -1)
        apart = torch.nn.functional.kl_div(ours, theirs, reduction="batchmean", log_target=True)
        return (1 - self._weight) * self._task.loss(student, batch) + self._weight * t * t * apart

    def scores(self, outputs: Any, batch: Batch) -> torch.Tensor:
        return self._task.scores(outputs[0], batch)

    def terms(self, batch: Batch) -> int:
        return self._task.terms(batch)

    def check(self, model: torch.nn.Module) -> None:
        self._task.check(model)
        try:
            self._task.check(self._teacher)
        except UsageError as error:
            raise UsageError(f"the teacher does not fit the task: {error}") from error

    def configure(self, model: torch.nn.Module) -> None:
        self._task.configure(model)

    def place(self, device: torch.device) -> None:
        self._task.place(device)
        self._teacher.to(device)
