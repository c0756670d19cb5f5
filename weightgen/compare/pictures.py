"""Pictures of a race: what the models of each start make of a few held-out items, early and at the end."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weightgen.compare.runs import Run
from weightgen.publishing.files import write_file
from weightgen.training.task import Task

if TYPE_CHECKING:
    import torch

EARLY = (0, 5, 20)
"""Steps that are shown beside the last one."""
SIDE = 128
"""Pixels of a picture on the page."""


def steps_shown(task: Task, steps: int) -> tuple[int, ...]:
    """Return after which of a race's steps a task's pictures are drawn; none where it has nothing to show."""
    return tuple(sorted({min(step, steps) for step in (*EARLY, steps)})) if task.shown else ()


def artist(task: Task, folder: Path, steps: Sequence[int], writes: bool) -> Callable[[int, torch.nn.Module], None]:
    """Return what draws a model into a folder after those steps; where it does not write, it only runs the model."""

    def draw(step: int, model: torch.nn.Module) -> None:
        if step not in steps:
            return
        for number, png in enumerate(task.draw(model)):
            if writes:
                folder.mkdir(parents=True, exist_ok=True)
                write_file(folder / _name(number, step), png)

    return draw


def pictures(task: Task, runs: Sequence[Run], folders: Sequence[Path], steps: Sequence[int]) -> list[dict[str, Any]]:
    """Return the pictures of a race: what is shown beside the results, then those that each run left in its folder."""
    found = []
    for number, shown in enumerate(task.shown):
        found += [picture(shown.title, caption, 0, 0.0, png, SIDE) for caption, png in shown.beside.items()]
        for run, folder in zip(runs, folders, strict=True):
            for step, scores in zip(run.marks.tolist(), run.curve, strict=True):
                file = folder / _name(number, step)
                if step in steps and file.is_file():
                    score = float(scores[shown.item])
                    found.append(picture(shown.title, run.start, step, score, file.read_bytes(), SIDE))
    return found


def picture(title: str, start: str, step: int, score: float, png: bytes, size: int) -> dict[str, Any]:
    """Return a picture as results.json holds it."""
    encoded = base64.b64encode(png).decode()
    return {"signal": title, "start": start, "step": step, "score": score, "size": size, "png": encoded}


def _name(number: int, step: int) -> str:
    return f"item-{number}-step-{step}.png"
