"""The directory beside a target where a training keeps its states until it is published."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from weightgen.publishing.work_directory import remove_work, work_directory
from weightgen.training.accelerator import end, is_main_process
from weightgen.training.interruption import Interrupted


@contextmanager
def working_beside(out: Path, suffix: str = "training", kept: str = "") -> Iterator[Path]:
    """Hold `OUT.training` while the block runs, and remove it when the block ends well: the last thing a job does.

    Who interrupts the block is told where its work is saved, and what else is `kept`. Raises UsageError
    where that directory is not ours.
    """
    work = out.with_name(f"{out.name}.{suffix}")
    with work_directory(work):
        try:
            yield work
        except Interrupted as stop:
            if stop.is_told:
                raise
            raise Interrupted(f"{stop}, and saved in {work}.\nThe same command goes on from there{kept}.") from stop
        if is_main_process():
            remove_work(work)
    end()
