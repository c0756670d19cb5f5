"""All that weightgen takes from Accelerate, in one file: devices, processes, mixed precision, and their state."""

from __future__ import annotations

import gc
from typing import Any

import torch
from accelerate import Accelerator, DataLoaderConfiguration
from accelerate.state import AcceleratorState
from accelerate.utils import broadcast_object_list, send_to_device, set_seed

__all__ = ["Accelerator", "broadcast_object_list", "send_to_device", "set_seed"]


def accelerator(**options: Any) -> Accelerator:
    """Return the accelerator of this process."""
    # Where there is no GPU, Accelerate joins the processes of a launch only when it is told that the CPU is meant.
    return Accelerator(cpu=not torch.accelerator.is_available(), **options)


def accelerator_of(precision: str, tracker: str | None, logs: str | None) -> Accelerator:
    """Return the accelerator of a training, with its precision and tracker."""
    # Accelerate keeps the first precision of a process for all that follow, unless it is told to forget it.
    AcceleratorState._reset_state()
    return accelerator(
        mixed_precision=precision,
        dataloader_config=DataLoaderConfiguration(split_batches=True),  # the scheduler moves once a step
        log_with=tracker,
        project_dir=logs,
    )


def wait_for_everyone() -> None:
    """Wait until every process of the launch has come here."""
    accelerator().wait_for_everyone()


def end() -> None:
    """Leave the launch that this process was started by; the last thing a command does."""
    # A wrapped model that is still waiting for the collector when the interpreter ends aborts the process now and then.
    gc.collect()
    accelerator().end_training()


def is_main_process() -> bool:
    """Whether this process is the one that speaks and writes."""
    return bool(accelerator().is_main_process)
