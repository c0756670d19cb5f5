"""The one training loop: CPU, one GPU, several, several hosts."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader

from weightgen.console import Progress, unheard
from weightgen.errors import UsageError
from weightgen.training.accelerator import accelerator_of, send_to_device, set_seed
from weightgen.training.data_order import StepBatches
from weightgen.training.interruption import Interrupted, stop_requests
from weightgen.training.optimizer import make_scheduler
from weightgen.training.outcome import Diverged, Trained
from weightgen.training.saved_run import SavedRun
from weightgen.training.scoring import score_with
from weightgen.training.settings import Settings
from weightgen.training.task import Batch, Task

LOOK = 10  # on a GPU, steps between looks at whether the loss is finite: each one waits for the device


def train(
    model: torch.nn.Module,
    task: Task,
    settings: Settings,
    states: Path | None = None,
    *,
    progress: Progress | None = None,
    tracker: str | None = None,
    at_mark: Callable[[int, torch.nn.Module], None] = lambda step, model: None,
    keep_end: bool = False,
) -> Trained:
    """Train a model on a task and return it, with its scores at the marks; `at_mark` sees each mark's step and model.

    With `states`, a directory, the run saves itself there every `save_every` steps, and goes on from the newest
    complete state that it finds. On CPU a run that was killed and resumed ends bit-identical to one that was not.
    `keep_end`: its end is saved too, for a caller who has more to do before anything is published.
    Raises UsageError (settings that do not fit, or differ from the saved state's), Diverged, Interrupted.
    """
    task.check(model)
    loop = _Loop(model, task, settings, states, tracker)
    return loop.run(progress or unheard, at_mark, keep_end)


class _Loop(SavedRun):
    """One run."""

    def __init__(
        self, model: torch.nn.Module, task: Task, settings: Settings, states: Path | None, tracker: str | None
    ) -> None:
        logs = str(states.parent / "logs") if states is not None and tracker else None
        super().__init__(accelerator_of(settings.precision, tracker, logs), settings, states)
        self.task = task
        processes, parts = self.accelerator.num_processes, settings.accumulate
        if settings.batch_size % (processes * parts):
            raise UsageError(
                f"batch size {settings.batch_size} cannot be shared by {processes} processes in {parts} micro-batches "
                f"each: take a multiple of {processes * parts}"
            )
        task.place(self.accelerator.device)
        set_seed(settings.augment_seed + self.accelerator.process_index)
        optimizer = task.optimizer(model, settings)
        scheduler = make_scheduler(optimizer, settings)
        self.model, self.optimizer, self.scheduler = self.accelerator.prepare(model.train(), optimizer, scheduler)
        if settings.ema:
            average = torch.optim.swa_utils.get_ema_multi_avg_fn(settings.ema)  # type: ignore[no-untyped-call]
            plain = self.accelerator.unwrap_model(self.model)
            self.averaged = torch.optim.swa_utils.AveragedModel(plain, multi_avg_fn=average, use_buffers=True)
        if tracker:
            self.accelerator.init_trackers("weightgen", settings.to_dict())

    def run(self, progress: Progress, at_mark: Callable[[int, torch.nn.Module], None], keep_end: bool) -> Trained:
        self.resume()
        settings, device = self.settings, self.accelerator.device
        data = StepBatches(self.task, settings, self.accelerator.process_index, self.accelerator.num_processes)
        steps = range(self.step, settings.steps)
        # A generator of its own: from the global one a loader draws once at its start, and a resumed run starts twice.
        loader = DataLoader(data, sampler=steps, batch_size=None, generator=torch.Generator())
        saved_at = self.step
        with stop_requests() as request:
            self._mark(progress, at_mark)
            for parts in loader:
                started = time.perf_counter()
                stop = self._train_step([send_to_device(p, device) for p in parts], request.made)
                if device.type == "cpu" or self.step % LOOK == 0 or self.step == settings.steps:
                    self._check_finite()
                self.seconds += time.perf_counter() - started
                progress(self.step, settings.steps, self._status())
                self._mark(progress, at_mark)
                due = stop or self.step - saved_at >= settings.save_every
                if self.states is not None and (due if self.step < settings.steps else keep_end):
                    self._check_finite()
                    self._check_weights()
                    self.save()
                    saved_at = self.step
                if stop and self.step < settings.steps:
                    raise Interrupted(f"stopped at step {self.step} of {settings.steps}")
        self._check_weights()
        self._end_trackers()
        model = self.averaged.module if self.averaged is not None else self.accelerator.unwrap_model(self.model)
        return Trained(model, self._curve(), self.seconds, self.losses)

    def _curve(self) -> np.ndarray:
        return np.stack(self.curve) if self.curve else np.zeros((0, self.task.sizes["validation"]), np.float32)

    def _train_step(self, parts: list[Batch], stop: bool) -> bool:
        """Take one optimizer step; returns whether any process was asked to stop."""
        accelerator, processes = self.accelerator, self.accelerator.num_processes
        terms = [self.task.terms(p) for p in parts]
        # One exchange for both: how many terms the whole step's mean has, and whether someone pressed Ctrl-C.
        shared = torch.tensor([float(sum(terms)), float(stop)], device=accelerator.device)
        total, stops = accelerator.reduce(shared, "sum").tolist() if processes > 1 else (sum(terms), stop)
        for i, (part, count) in enumerate(zip(parts, terms, strict=True)):
            with ExitStack() as stack:
                if i < len(parts) - 1:
                    stack.enter_context(accelerator.no_sync(self.model))
                loss = self.task.loss(self.task.forward(self.model, part), part) * (count / total)
                # Data-parallel training averages the gradients of the processes, and this is a sum.
                accelerator.backward(loss * processes)
            self.loss_sum += loss.detach()
        accelerator.clip_grad_norm_(self.model.parameters(), self.settings.clip)
        self.optimizer.step()
        self.scheduler.step()
        self.optimizer.zero_grad()
        if self.averaged is not None:
            self.averaged.update_parameters(accelerator.unwrap_model(self.model))
        self.step += 1
        self.loss_steps += 1
        return bool(stops)

    def _check_finite(self) -> None:
        if not bool(torch.isfinite(self.accelerator.reduce(self.loss_sum, "sum"))):
            self._end_trackers()
            raise Diverged(self.step, self.settings.learning_rate, self.last_saved, self._curve())

    def _check_weights(self) -> None:
        """Look at the weights themselves: the last update comes after the last loss."""
        if self.task.of_many:
            return
        held = [t for t in (*self.model.parameters(), *self.model.buffers()) if t.is_floating_point()]
        bad = sum((~t.detach().isfinite()).sum() for t in held)
        if float(self.accelerator.reduce(torch.as_tensor(bad, device=self.accelerator.device), "sum")):
            self._end_trackers()
            raise Diverged(self.step, self.settings.learning_rate, self.last_saved, self._curve(), "the weights were")

    def _mark(self, progress: Progress, at_mark: Callable[[int, torch.nn.Module], None]) -> None:
        """Score the validation set where a mark is due."""
        if self.step not in self.settings.marks or len(self.curve) > self.settings.marks.index(self.step):
            return
        if self.loss_steps:
            self.losses.append(float(self.accelerator.reduce(self.loss_sum, "sum") / self.loss_steps))
            self.loss_sum, self.loss_steps = torch.zeros_like(self.loss_sum), 0
        scored = self.averaged.module if self.averaged is not None else self.model
        self.curve.append(score_with(self.accelerator, scored, self.task, "validation"))
        at_mark(self.step, self.accelerator.unwrap_model(scored))
        found = float(self.task.metric.of(self.curve[-1]))
        loss = {"loss": self.losses[-1]} if self.losses else {}
        self.accelerator.log({self.task.metric.name: found, "lr": self.scheduler.get_last_lr()[0], **loss}, self.step)
        progress(self.step, self.settings.steps, self._status())

    def _status(self) -> str:
        metric = f"{self.task.metric.name} {float(self.task.metric.of(self.curve[-1])):.4g}" if self.curve else ""
        rate = f"{self.step * self.settings.batch_size / self.seconds:.0f} items/s" if self.seconds else ""
        return "  ".join(t for t in (metric, rate) if t)

    def _end_trackers(self) -> None:
        for tracker in self.accelerator.trackers:
            tracker.finish()
