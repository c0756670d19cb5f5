"""Jobs on several processes of this machine, which stop when asked to, and when their parent is gone."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch

from weightgen.errors import InputError, Remark
from weightgen.training.interruption import Interrupted, stop_requests

POLL = 0.5  # seconds between two looks at the progress of the workers
Stepped = Callable[[int], None]
"""Hears how many training steps have been taken since the beginning."""


class Shared(Protocol):
    """A recipe whose jobs share the machine."""

    @property
    def workers(self) -> int:
        """How many at a time; 0: as many as there is room for."""

    @property
    def threads(self) -> int:
        """CPU threads of each."""


class Counted(Protocol):
    """A job of a recipe."""

    @property
    def steps(self) -> int:
        """How many training steps it takes."""


R = TypeVar("R", bound=Shared)
J = TypeVar("J", bound=Counted)
Work = Callable[[R, J, Path, Stepped], Path]
"""Carries out a job of a recipe in its output directory, and returns where it was published."""
Next = Callable[[J, Path], Sequence[J]]
"""From a finished job and its directory to the jobs that follow from it."""


def processes() -> int:
    """Return how many processes of a launch share the work."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def workers_of(recipe: Shared) -> int:
    """Return how many jobs go on at a time: one where several processes share each job, or one GPU does them all."""
    if processes() > 1:
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return recipe.workers or (1 if torch.cuda.is_available() else max(1, cores // recipe.threads))


def carry_out_all(
    work: Work[R, J],
    recipe: R,
    out: Path,
    first: Sequence[J],
    then: Next[J],
    workers: int,
    stepped: Stepped,
) -> None:
    """Carry out jobs and what follows from them, on `workers` processes (1: in this one).

    Raises Interrupted when asked to stop: every training has saved itself by then. InputError when a worker was killed.
    """
    if workers == 1:
        _in_this_process(work, recipe, out, first, then, stepped)
    else:
        _in_processes(work, recipe, out, first, then, workers, stepped)


def _in_this_process(
    work: Work[R, J], recipe: R, out: Path, first: Sequence[J], then: Next[J], stepped: Stepped
) -> None:
    queue, before = list(first), 0

    def report(done: int) -> None:
        stepped(before + done)

    while queue:
        job = queue.pop(0)
        queue += then(job, work(recipe, job, out, report))
        before += job.steps


def _in_processes(
    work: Work[R, J],
    recipe: R,
    out: Path,
    first: Sequence[J],
    then: Next[J],
    workers: int,
    stepped: Stepped,
) -> None:
    context = multiprocessing.get_context("spawn")  # a forked torch may hang
    counter = context.Value("q", 0)
    executor = ProcessPoolExecutor(
        workers, mp_context=context, initializer=_begin_worker, initargs=(counter, os.getpid())
    )
    open_jobs: dict[Future[Path], J] = {}

    def submit(jobs: Sequence[J]) -> None:
        for job in jobs:
            open_jobs[executor.submit(_in_worker, work, recipe, job, out)] = job

    with stop_requests() as request:
        try:
            submit(first)
            while open_jobs:
                for future in wait(open_jobs, timeout=POLL, return_when=FIRST_COMPLETED).done:
                    submit(then(open_jobs.pop(future), future.result()))
                stepped(counter.value)
                if request.made:
                    raise Interrupted("stopped")
        except KeyboardInterrupt:
            raise Interrupted("stopped") from None
        except BrokenProcessPool as error:
            if request.made:  # the workers of a terminal's group were asked, too, and have gone
                raise Interrupted("stopped") from None
            raise InputError(
                "a worker process was killed (by the system, for want of memory?). Finished runs are kept.\n"
                "The same command goes on from there; --workers 1 needs the least memory."
            ) from error
        finally:
            if open_jobs:  # not all went well: what still trains is asked to save itself and stop
                for process in multiprocessing.active_children():
                    process.terminate()
            executor.shutdown(cancel_futures=True)


_counter: Any = None


def _begin_worker(counter: Any, parent: int) -> None:
    global _counter
    _counter = counter
    warnings.simplefilter("ignore", Remark)  # the parent reads the same data, and has said so
    threading.Thread(target=_follow, args=(parent,), daemon=True).start()


def _follow(parent: int) -> None:
    """Ask this process to stop once its parent has died: nobody would read what it finds."""
    while os.getppid() == parent:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)


def _in_worker(work: Work[R, J], recipe: R, job: J, out: Path) -> Path:
    seen = 0

    def stepped(done: int) -> None:
        nonlocal seen
        with _counter.get_lock():
            _counter.value += done - seen
        seen = done

    try:
        return work(recipe, job, out, stepped)
    except Interrupted:
        # Saved. A worker that only handed this on would be idle again, having forgotten that it was asked to stop, and
        # its parent might wait for it for ever.
        os._exit(1)
