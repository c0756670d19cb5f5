"""The one training loop, and the only file that touches Accelerate: CPU, one GPU, several, several hosts."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator, DataLoaderConfiguration
from accelerate.state import AcceleratorState
from accelerate.utils import broadcast_object_list, send_to_device, set_seed
from safetensors import SafetensorError
from torch.utils.data import DataLoader

from weightgen.checkpoint import publish
from weightgen.data_order import StepBatches
from weightgen.errors import InputError, UsageError, printable
from weightgen.interruption import Interrupted, stop_requests
from weightgen.models.jsonfile import read_json
from weightgen.optimizer import make_scheduler
from weightgen.remarks import without_remarks
from weightgen.retention import newest_complete, retain, state_directory
from weightgen.settings import Settings, differences
from weightgen.tasks.task import Batch, Split, Task
from weightgen.trained import Diverged, Trained

LOOK = 10  # on a GPU, steps between looks at whether the loss is finite: each one waits for the device
Progress = Callable[[int, int, str], None]
"""Called with (steps done, steps in all, what to show beside them)."""


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
    return loop.run(progress or (lambda done, total, text: None), at_mark, keep_end)


def score(model: torch.nn.Module, task: Task, split: Split, further: str | None = None) -> np.ndarray:
    """Return the scores of all items of a split, (items,), computed by all processes; or one of the task's further."""
    accelerator = _accelerator()
    task.place(accelerator.device)
    return _score(accelerator, model.to(accelerator.device), task, split, task.further[further] if further else None)


def wait_for_everyone() -> None:
    """Wait until every process of the launch has come here."""
    _accelerator().wait_for_everyone()


def end() -> None:
    """Leave the launch that this process was started by; the last thing a command does."""
    _accelerator().end_training()


def is_main_process() -> bool:
    """Whether this process is the one that speaks and writes."""
    return bool(_accelerator().is_main_process)


def _accelerator(**options: Any) -> Accelerator:
    # Where there is no GPU, Accelerate joins the processes of a launch only when it is told that the CPU is meant.
    return Accelerator(cpu=not torch.accelerator.is_available(), **options)


def _score(
    accelerator: Accelerator,
    model: torch.nn.Module,
    task: Task,
    split: Split,
    by: Callable[[Any, Batch], torch.Tensor] | None = None,
) -> np.ndarray:
    count, at_once = task.sizes[split], task.scoring_batch
    found = torch.zeros(count, dtype=torch.float32, device=accelerator.device)
    was_training = model.training
    model.eval()
    # In inference mode tensors could not be reused by a later backward pass; caches inside models are.
    with torch.no_grad(), accelerator.autocast():
        for start in range(0, count, at_once * accelerator.num_processes):
            # Every process runs the model equally often, since sharded models exchange weights when they run: one
            # that has nothing left repeats the first batch and drops what it finds.
            first = start + at_once * accelerator.process_index
            left = list(range(first, min(first + at_once, count)))
            items = left or list(range(min(at_once, count)))
            batch = send_to_device(task.batch(split, items), accelerator.device)
            scores = (by or task.scores)(task.forward(model, batch), batch).float()
            if left:
                found[first : first + len(left)] = scores
    model.train(was_training)
    return np.asarray(accelerator.reduce(found, "sum").cpu())


class _Loop:
    """State of one run."""

    def __init__(
        self, model: torch.nn.Module, task: Task, settings: Settings, states: Path | None, tracker: str | None
    ) -> None:
        logs = str(states.parent / "logs") if states is not None and tracker else None
        # Accelerate keeps the first precision of a process for all that follow, unless it is told to forget it.
        AcceleratorState._reset_state()
        self.accelerator = _accelerator(
            mixed_precision=settings.precision,
            dataloader_config=DataLoaderConfiguration(split_batches=True),  # the scheduler moves once a step
            log_with=tracker,
            project_dir=logs,
        )
        self.task, self.settings, self.states = task, settings, states
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
        self.averaged = None
        if settings.ema:
            average = torch.optim.swa_utils.get_ema_multi_avg_fn(settings.ema)  # type: ignore[no-untyped-call]
            plain = self.accelerator.unwrap_model(self.model)
            self.averaged = torch.optim.swa_utils.AveragedModel(plain, multi_avg_fn=average, use_buffers=True)
        if tracker:
            self.accelerator.init_trackers("weightgen", settings.to_dict())
        self.step, self.seconds = 0, 0.0
        self.curve: list[np.ndarray] = []
        self.losses: list[float] = []
        self.loss_sum, self.loss_steps = torch.zeros((), device=self.accelerator.device), 0
        self.last_saved: Path | None = None

    def run(self, progress: Progress, at_mark: Callable[[int, torch.nn.Module], None], keep_end: bool) -> Trained:
        self._resume()
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
                    self._save()
                    saved_at = self.step
                if stop and self.step < settings.steps:
                    raise Interrupted(f"stopped at step {self.step} of {settings.steps}")
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

    def _mark(self, progress: Progress, at_mark: Callable[[int, torch.nn.Module], None]) -> None:
        """Score the validation set where a mark is due."""
        if self.step not in self.settings.marks or len(self.curve) > self.settings.marks.index(self.step):
            return
        if self.loss_steps:
            self.losses.append(float(self.accelerator.reduce(self.loss_sum, "sum") / self.loss_steps))
            self.loss_sum, self.loss_steps = torch.zeros_like(self.loss_sum), 0
        scored = self.averaged.module if self.averaged is not None else self.model
        self.curve.append(_score(self.accelerator, scored, self.task, "validation"))
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

    def _record(self) -> dict[str, Any]:
        # Sums over other numbers of threads or processes round differently.
        parts = {"processes": self.accelerator.num_processes, "threads": torch.get_num_threads()}
        return self.settings.to_dict() | parts

    def _save(self) -> None:
        """Publish the run's state; every process takes part."""
        assert self.states is not None
        accelerator, where = self.accelerator, state_directory(self.states, self.step)
        with ExitStack() as stack:
            # Weights, and Adam's two moments of them.
            needed = 3 * sum(p.numel() * p.element_size() for p in self.model.parameters())
            main = accelerator.is_main_process
            staged = stack.enter_context(publish(where, force=True, needed=needed)) if main else None
            path = [str(staged.path) if staged else ""]
            broadcast_object_list(path)
            try:
                with without_remarks("accelerate.utils.other"):  # on tied weights, at every save
                    accelerator.save_state(path[0])
            except (RuntimeError, SafetensorError) as error:  # what torch and safetensors make of a full disk
                kept = f" {self.last_saved} is kept." if self.last_saved else ""
                reason = printable(str(error).splitlines()[0])
                raise InputError(
                    f"{where}: the state could not be written: {reason}.{kept}\n"
                    "Free some space, and repeat the command to go on."
                ) from error
            if staged is not None:
                found = {"settings": self._record(), "step": self.step, "seconds": self.seconds, "losses": self.losses}
                open_sum = {"loss_sum": float(self.loss_sum), "loss_steps": self.loss_steps}
                (staged.path / "progress.json").write_text(json.dumps(found | open_sum, indent=1) + "\n")
                np.save(staged.path / "curve.npy", np.array(self.curve), allow_pickle=False)
                if self.averaged is not None:
                    torch.save(self.averaged.state_dict(), staged.path / "averaged.bin")
                staged.manifest.update(stage="training", step=self.step)
            accelerator.wait_for_everyone()
        accelerator.wait_for_everyone()
        self.last_saved = where
        if accelerator.is_main_process:
            retain(self.states)

    def _resume(self) -> None:
        found = newest_complete(self.states) if self.states is not None else None
        if found is None:
            return
        saved = read_json(found / "progress.json")
        changed = differences(saved["settings"], self._record())
        if changed:
            raise UsageError(
                f"{found.parent}: was started with other settings: {'; '.join(changed[:5])}.\n"
                "Repeat the first command line to go on, or choose another --out."
            )
        with warnings.catch_warnings(action="ignore"):  # of its own deprecations
            self.accelerator.load_state(str(found))
        if self.averaged is not None:
            self.averaged.load_state_dict(torch.load(found / "averaged.bin", weights_only=True))
        self.step, self.seconds, self.losses = saved["step"], saved["seconds"], saved["losses"]
        self.loss_sum += saved["loss_sum"]
        self.loss_steps = saved["loss_steps"]
        self.curve = list(np.load(found / "curve.npy", allow_pickle=False))
        self.last_saved = found
