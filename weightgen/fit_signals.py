"""From a fit recipe to fitted fields: start and signals -> fits -> drawings, curve, published weights."""

from __future__ import annotations

import csv
import io
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch

from weightgen.checkpoint import check_target, publish, write_file
from weightgen.errors import UsageError, printable
from weightgen.inr.fits import Fits, FittedSignal, joined
from weightgen.inr.fitting import Adaptation, Fitted, evaluator
from weightgen.inr.signals import make_kind
from weightgen.inr.signals.kind import Kind, Signal
from weightgen.inr.start import Start, load_start
from weightgen.places import check_file, check_place, refuse_same
from weightgen.preparation import versions
from weightgen.recipe import FitRecipe
from weightgen.training import Progress

CURVE = 200  # marks at most: scoring costs a third of a step


@dataclass(frozen=True)
class Made:
    """What came of a fit."""

    fits: Fits
    metric: str
    curve: dict[int, np.ndarray]
    """The metric (signals,) after so many steps."""
    adaptation: Adaptation
    diverged: list[str]
    """Names of the signals whose loss became infinite: what was kept of them is the best before."""
    remarks: list[str]
    """On signals that are poor but usable."""
    written: list[str]


def fit_signals(recipe: FitRecipe, *, force: bool = False, progress: Progress | None = None) -> Made:
    """Fit every signal of a file, folder or zip, and write what was asked for."""
    if not recipe.start or not recipe.data:
        raise UsageError("fit what? weightgen fit START SIGNAL")
    out = Path(recipe.out) if recipe.out else None
    if out is not None:
        if out.resolve() == Path(recipe.start).expanduser().resolve():
            raise UsageError(f"--out {printable(str(out))}: is the start itself. Choose another directory.")
        check_target(out.resolve(), force)
    torch.set_num_threads(recipe.threads or os.cpu_count() or 1)
    start = load_start(Path(recipe.start).expanduser())
    start = _with_conventions(start, {**start.kind.own(recipe.data), **recipe.signal_args})
    adaptation = adaptation_of(recipe, start)
    signals = start.kind.load(recipe.data)
    _check_places(recipe, start, len(signals))
    fits: list[Fits] = []
    curves: list[dict[int, np.ndarray]] = []
    diverged: list[str] = []
    groups = list(_groups(start, signals, recipe.batch_size))
    start.field.to(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    for number, group in enumerate(groups):
        run = _fit(start, group, recipe, adaptation, part_of(progress, number, len(groups)))
        fits.append(_named(start, group, run, recipe.steps))
        curves.append(run.curve)
        diverged += [s.name for s, lost in zip(group, run.diverged, strict=True) if lost]
    start.field.cpu()  # as the fits are: drawing and saving want no accelerator
    found = joined(fits)
    steps = set.intersection(*(set(c) for c in curves))  # what diverged has fewer
    curve = {step: np.concatenate([c[step] for c in curves]) for step in sorted(steps)}
    written = []
    if out is not None:  # first: a drawing that fails is made again from it
        _publish(recipe, found, out, force)
        written.append(f"{recipe.out}/")
    written += [*_tabulate(recipe, found, curve), *_draw(recipe, found)]
    remarks = [f"{printable(s.name)}: {s.remark}" for s in signals if s.remark]
    return Made(found, start.kind.metric.name, curve, adaptation, diverged, remarks, written)


def adaptation_of(recipe: FitRecipe, start: Start) -> Adaptation:
    """Return how to fit; raises UsageError where the recipe's optimizer and rate do not go together."""
    if recipe.optimizer == "recommended":
        if recipe.rate is not None:
            raise UsageError("--rate wants to know of which: add --optimizer sgd or --optimizer adam")
        return start.advice(recipe.steps)
    if recipe.rate is None:
        raise UsageError(f"--optimizer {recipe.optimizer} needs a --rate")
    return Adaptation(optimizer=recipe.optimizer, rate=recipe.rate)


def _with_conventions(start: Start, changed: Mapping[str, Any]) -> Start:
    """Return a start whose signals are read by other conventions: fewer views, another crop."""
    conventions = {**start.kind.config.model_dump(mode="json"), **changed}
    kind = make_kind(start.kind.name, conventions)
    if (kind.inputs, kind.outputs) != (start.kind.inputs, start.kind.outputs):
        raise UsageError(
            f"--signal-args: signals of {kind.outputs} values at {kind.inputs} coordinates, "
            f"the start is for {start.kind.outputs} at {start.kind.inputs}"
        )
    return replace(start, kind=kind) if changed else start


def part_of(progress: Progress | None, number: int, total: int) -> Progress | None:
    """Return progress for one of several equal pieces of work."""
    if progress is None:
        return None
    told = progress
    return lambda done, steps, words: told(number * steps + done, total * steps, words)


def _groups(start: Start, signals: list[Signal], size: int) -> Iterator[list[Signal]]:
    """Yield signals of equal shape together, at most `size` at a time."""

    def key(signal: Signal) -> list[int]:
        return [start.kind.count(signal), *start.kind.shape(signal)]

    for _, group in groupby(sorted(signals, key=key), key):
        alike = list(group)
        for first in range(0, len(alike), size):
            yield alike[first : first + size]


def _fit(
    start: Start, group: list[Signal], recipe: FitRecipe, adaptation: Adaptation, progress: Progress | None
) -> Fitted:
    marks = {0, recipe.steps}
    if recipe.curve:
        marks |= set(np.linspace(0, recipe.steps, CURVE).round().astype(int).tolist())
    return start.fit(
        group, recipe.steps, adaptation, points=recipe.points, seed=recipe.seed, marks=marks, progress=progress
    )


def _named(start: Start, group: list[Signal], run: Fitted, steps: int) -> Fits:
    scores = [float(s) if np.isfinite(s) else None for s in run.final]
    named = [
        FittedSignal(name=s.name, shape=start.kind.shape(s), scale=s.scale, score=score)
        for s, score in zip(group, scores, strict=True)
    ]
    return Fits(start.field, start.kind, {n: t.cpu() for n, t in run.tensors.items()}, named, steps)


def _check_places(recipe: FitRecipe, start: Start, signals: int) -> None:
    """Refuse places to draw and to write to before the work, not after it."""
    if recipe.curve is not None:
        check_file(Path(recipe.curve), Path(recipe.data))
    if recipe.render is None:
        return
    path, suffix, shown = Path(recipe.render), start.kind.suffixes[0], f"--render {printable(recipe.render)}"
    if recipe.render_size is not None:
        start.kind.check_size(recipe.render_size)
    if signals > 1:
        if path.is_file() or (path.suffix and not path.is_dir()):
            raise UsageError(f"{shown}: {signals} signals need a folder, not a file")
        refuse_same(path, Path(recipe.data))
        check_place(path / f"signal{suffix}")
        return
    if path.is_dir():
        raise UsageError(f"{shown}: is a folder; name the file, as in out{suffix}")
    _check_suffix(start.kind, path)
    check_file(path, Path(recipe.data))


def _check_suffix(kind: Kind, path: Path) -> None:
    if path.suffix and path.suffix.lower() not in kind.suffixes:
        known = ", ".join(kind.suffixes)
        raise UsageError(f"{printable(str(path))}: cannot be written: fits of {kind.name} signals are drawn as {known}")


def _draw(recipe: FitRecipe, fits: Fits) -> list[str]:
    if recipe.render is None:
        return []
    path = Path(recipe.render)
    if len(fits.signals) == 1:
        render_fit(fits, path, recipe.render_size)
        return [recipe.render]
    path.mkdir(parents=True, exist_ok=True)
    for i, name in enumerate(unique([s.name for s in fits.signals])):
        render_fit(fits.one(i), path / f"{name}{fits.kind.suffixes[0]}", recipe.render_size)
    return [f"{recipe.render}/"]


def render_fit(fits: Fits, path: Path, size: int | None = None) -> None:
    """Draw a single fit to a file, which is there whole or not at all.

    Raises UsageError for a size or suffix that its kind does not know, or a format that cannot hold what was drawn,
    InputError where drawing or writing fails.
    """
    kind, shape, scale = fits.kind, fits.signals[0].shape, fits.signals[0].scale
    _check_suffix(kind, path)
    if size is not None:
        kind.check_size(size)
    evaluate = evaluator(fits.field, fits.tensors)
    rendered = kind.render(lambda x: scale * evaluate(x), shape, size)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / f"drawn{path.suffix or kind.suffixes[0]}"
        try:
            kind.save(rendered, file, shape)
        except (ValueError, KeyError, RuntimeError) as error:  # what writers say of sizes and rates beyond a format
            shown, reason = printable(str(path)), printable(str(getattr(error, "error_string", error)))
            raise UsageError(f"{shown}: cannot be written ({reason}). Try another size or format.") from error
        write_file(path, file.read_bytes())


def _tabulate(recipe: FitRecipe, fits: Fits, curve: dict[int, np.ndarray]) -> list[str]:
    if recipe.curve is None:
        return []
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["signal", "step", fits.kind.metric.name])
    for i, signal in enumerate(fits.signals):
        table.writerows([printable(signal.name), step, f"{values[i]:.4f}"] for step, values in sorted(curve.items()))
    Path(recipe.curve).parent.mkdir(parents=True, exist_ok=True)
    write_file(Path(recipe.curve), text.getvalue().encode())
    return [recipe.curve]


def _publish(recipe: FitRecipe, fits: Fits, out: Path, force: bool) -> None:
    own = recipe.model_copy(update={"out": None})
    with publish(out, force) as staged:
        if recipe.separate and len(fits.signals) > 1:
            for i, name in enumerate(unique([s.name for s in fits.signals])):
                (staged.path / name).mkdir()
                fits.one(i).save(staged.path / name)
        else:
            fits.save(staged.path)
        (staged.path / "recipe.yaml").write_text(own.to_yaml(), encoding="utf-8")
        staged.manifest.update(stage="fit", recipe_hash=own.hash, seed=recipe.seed, versions=versions("safetensors"))


def unique(names: list[str]) -> list[str]:
    """Return names that can be files of one folder: no separators, nothing hidden, none twice."""
    found: list[str] = []
    for name in names:
        plain = re.sub(r"[^\w.()+-]", "_", name).lstrip(".") or "signal"
        number = 1
        while (plain if number == 1 else f"{plain}-{number}") in found:
            number += 1
        found.append(plain if number == 1 else f"{plain}-{number}")
    return found
