"""The state of a running training: saved whole or not at all, and gone on from."""

from __future__ import annotations

import json
import warnings
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError

from weightgen.console import without_remarks
from weightgen.errors import InputError, UsageError, printable
from weightgen.publishing.checkpoint import publish
from weightgen.publishing.retention import newest_complete, retain, state_directory
from weightgen.reading.json_files import read_json
from weightgen.training.accelerator import Accelerator, broadcast_object_list
from weightgen.training.settings import Settings, differences


class Progress(BaseModel):
    """progress.json of a saved state."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    settings: dict[str, Any]
    """What `record` said."""
    step: int = Field(ge=0)
    seconds: float
    losses: list[float]
    loss_sum: float
    loss_steps: int = Field(ge=0)


class SavedRun:
    """What a run has come to: its model and optimizer are Accelerate's to save, the rest stands here."""

    def __init__(self, accelerator: Accelerator, settings: Settings, states: Path | None) -> None:
        self.accelerator, self.settings, self.states = accelerator, settings, states
        self.model: torch.nn.Module
        self.averaged: torch.optim.swa_utils.AveragedModel | None = None
        self.step, self.seconds = 0, 0.0
        self.curve: list[np.ndarray] = []
        self.losses: list[float] = []
        self.loss_sum, self.loss_steps = torch.zeros((), device=accelerator.device), 0
        self.last_saved: Path | None = None

    def record(self) -> dict[str, Any]:
        """Return what must be the same when the run goes on."""
        # Sums over other numbers of threads or processes round differently.
        parts = {"processes": self.accelerator.num_processes, "threads": torch.get_num_threads()}
        return self.settings.to_dict() | parts

    def save(self) -> None:
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
                progress = Progress(
                    settings=self.record(),
                    step=self.step,
                    seconds=self.seconds,
                    losses=self.losses,
                    loss_sum=float(self.loss_sum),
                    loss_steps=self.loss_steps,
                )
                (staged.path / "progress.json").write_text(json.dumps(progress.model_dump(), indent=1) + "\n")
                np.save(staged.path / "curve.npy", np.array(self.curve), allow_pickle=False)
                if self.averaged is not None:
                    torch.save(self.averaged.state_dict(), staged.path / "averaged.bin")
                staged.manifest.update(stage="training", step=self.step)
            accelerator.wait_for_everyone()
        accelerator.wait_for_everyone()
        self.last_saved = where
        if accelerator.is_main_process:
            retain(self.states)

    def resume(self) -> None:
        """Go on from the newest complete state.

        Raises UsageError where it was another run's, InputError where it is not what a run saves.
        """
        found = newest_complete(self.states) if self.states is not None else None
        if found is None:
            return
        try:
            saved = Progress.model_validate(read_json(found / "progress.json"))
        except ValidationError as error:
            raise _unusable(found, error.errors()[0]["msg"]) from error
        changed = differences(saved.settings, self.record())
        if changed:
            raise UsageError(
                f"{found.parent}: was started with other settings: {'; '.join(changed[:5])}.\n"
                "Repeat the first command line to go on, or choose another --out."
            )
        try:
            with warnings.catch_warnings(action="ignore"):  # of its own deprecations
                self.accelerator.load_state(str(found))
            if self.averaged is not None:
                self.averaged.load_state_dict(torch.load(found / "averaged.bin", weights_only=True))
            self.curve = list(np.load(found / "curve.npy", allow_pickle=False))
        except Exception as error:  # Accelerate, torch and NumPy let through whatever a broken file provokes
            raise _unusable(found, str(error) or type(error).__name__) from error
        self.step, self.seconds, self.losses = saved.step, saved.seconds, saved.losses
        self.loss_sum += saved.loss_sum
        self.loss_steps = saved.loss_steps
        self.last_saved = found


def _unusable(state: Path, reason: str) -> InputError:
    first = printable((reason.splitlines() or [""])[0], 150)
    return InputError(
        f"{printable(str(state))}: is no saved state that can be read ({first}).\n"
        "Remove it, and the same command goes on from an earlier one, or begins again."
    )
