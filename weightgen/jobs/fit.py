"""Fit: start and signals -> fits -> drawings, curve, published weights."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from weightgen.console import SILENT, Reporter, shell_word, table
from weightgen.errors import UsageError, printable
from weightgen.inr.drawing import check_suffix, render_fit, unique
from weightgen.inr.fit_from_recipe import adaptation_of, fit_all, with_conventions
from weightgen.inr.fits import Fits
from weightgen.inr.fitting import Adaptation
from weightgen.inr.start import Start, load_start
from weightgen.jobs.made import Made
from weightgen.models.names import local_path
from weightgen.publishing.destination import check_file, check_place, refuse_same
from weightgen.publishing.files import write_file
from weightgen.publishing.publication import check_out, publication
from weightgen.recipe import FitRecipe
from weightgen.training.threads import use_threads

SHOWN = 20  # signals of a table


@dataclass(frozen=True)
class Fitted:
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


def fit(recipe: FitRecipe, out: Path | None, *, force: bool = False, reporter: Reporter = SILENT) -> Made[Fitted]:
    """Fit every signal of a file, folder or zip, and write what was asked for. The code is 1 where a fit diverged."""
    if not recipe.start or not recipe.data:
        raise UsageError("fit what? weightgen fit START SIGNAL")
    if out is not None:
        check_out(out, force, [local_path(recipe.start)], [local_path(recipe.data)])
    use_threads(recipe.threads)
    start = load_start(Path(recipe.start).expanduser())
    start = with_conventions(start, {**start.kind.own(recipe.data), **recipe.signal_args})
    adaptation = adaptation_of(recipe, start)
    signals = start.kind.load(recipe.data)
    _check_places(recipe, start, len(signals))
    with reporter.progress("fitting") as progress:
        found = fit_all(start, signals, recipe, adaptation, progress)
    written = []
    if out is not None:  # first: a drawing that fails is made again from it
        _publish(recipe, found.fits, out, force)
        written.append(f"{out}/")
    written += [*_tabulate(recipe, found.fits, found.curve), *_draw(recipe, found.fits)]
    remarks = [f"{printable(s.name)}: {s.remark}" for s in signals if s.remark]
    for remark in remarks:
        reporter.warn(remark)
    hint = "Try a lower --rate." if recipe.rate else "Try --optimizer adam --rate 1e-4."
    for name in found.diverged:
        reporter.warn(f"{printable(name)}: the loss became infinite; its best step was kept. {hint}")
    metric = start.kind.metric.name
    made = Fitted(found.fits, metric, found.curve, adaptation, found.diverged, remarks, written)
    data = {
        "metric": metric,
        "steps": recipe.steps,
        "adaptation": adaptation.model_dump(),
        "signals": [{"name": s.name, "score": s.score} for s in found.fits.signals],
        "diverged": found.diverged,
        "remarks": remarks,
        "written": written,
    }
    return Made(out, data, _text(recipe, out, made), made, 1 if found.diverged else 0)


def _text(recipe: FitRecipe, out: Path | None, made: Fitted) -> str:
    """Say how well it went, and what to type next."""
    signals, first = made.fits.signals, made.curve[0]
    last = np.array([np.nan if s.score is None else s.score for s in signals])
    rows = [(printable(s.name, 40), f"{a:.2f}", f"{b:.2f}") for s, a, b in zip(signals, first, last, strict=True)]
    lines = [table(rows[:SHOWN], ("signal", f"{made.metric} at 0", f"at {recipe.steps}"), right=(1, 2))]
    if len(rows) > 1:
        lines.append(f"mean of {len(rows)}: {first.mean():.2f} -> {last.mean():.2f}")
    lines += [f"wrote {shell_word(name)}" for name in made.written]
    if out is not None:
        which = shell_word(out)
        if len(rows) > 1:
            name = signals[0].name
            which += f"/{unique([name])[0]}" if recipe.separate else f" --name {shell_word(name)}"
        lines.append(f"draw:   weightgen render {which} --out drawn{made.fits.kind.suffixes[0]}")
    elif not made.written:
        lines.append("Nothing was kept: add --render FILE, --curve FILE or --out DIR.")
    return "\n".join(lines)


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
    check_suffix(start.kind, path)
    check_file(path, Path(recipe.data))


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
    with publication(out, recipe, "safetensors", force=force) as published:
        if recipe.separate and len(fits.signals) > 1:
            for i, name in enumerate(unique([s.name for s in fits.signals])):
                (published.path / name).mkdir()
                fits.one(i).save(published.path / name)
        else:
            fits.save(published.path)
        published.fields = {"seed": recipe.seed}
