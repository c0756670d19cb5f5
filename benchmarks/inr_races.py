"""How far does each start get in so many steps? Fits of signals that no start has seen, from every kind of start.

    python benchmarks/inr_races.py checkpoints/photos PHOTOS OUT --steps 10 --start strainer=STRAINER --start random ...

The recipe beside the start says which signals it was not learned from: those that its settings were chosen on choose
here as well, those of the end are fitted. Learned starts are fitted as they recommend themselves; for every other start
and every budget the best of some settings (Adam, SGD) is taken, and marks below a budget are read along its fit. A
learned start named with --tuned is given settings, too: its own rates at three scales, and Adam after them.
Signal i is fitted from seed i mod 3 of what is random in a start, and every signal by all starts, so that differences
are between equals. Finished starts are kept in OUT.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from inr_races_report import Found, dumped, loaded, report

from weightgen.compare.entries import Entry, make_start, parse_entry
from weightgen.compare.field_jobs import flops_of_fit
from weightgen.inr.fitting import Adaptation
from weightgen.inr.from_recipe import load_signals
from weightgen.inr.search import EVERY
from weightgen.inr.signals.kind import Signal
from weightgen.inr.start import Start, load_start
from weightgen.jobs.table import load_recipe
from weightgen.recipe import MetalearnRecipe

MARKS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
ADAM, SGD = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2), (0.01, 0.1, 1.0)  # rates that settings are chosen from, if not told
SEEDS, TUNING = 3, 1000  # seeds of what is fitted, and one of what settings are chosen with


@dataclass(frozen=True)
class Look:
    """What a fit looks at."""

    points: int
    """Observations of a signal a step; 0: all."""
    judged: int | None = None
    """Points that a fit is judged on; None: all."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("learned")
    parser.add_argument("data")
    parser.add_argument("out", type=Path)
    parser.add_argument("--start", action="append", default=[], help="as of weightgen compare; random must be one")
    parser.add_argument("--tuned", action="append", default=[], help="NAME=DIRECTORY of a learned start")
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--budgets", type=int, nargs="+", default=MARKS, help="steps that settings are chosen for")
    parser.add_argument("--signals", type=int, default=20)
    parser.add_argument("--tune", type=int, default=4)
    parser.add_argument("--adam", type=float, nargs="+", default=ADAM, help="rates of Adam to choose from")
    parser.add_argument("--sgd", type=float, nargs="*", default=SGD, help="rates of SGD to choose from")
    parser.add_argument("--points", type=int, default=0, help="observations that a step of a fit looks at; 0: all")
    parser.add_argument("--tune-points", type=int, default=0, help="the same, where settings are chosen")
    parser.add_argument("--judged", type=int, help="random points that a fit is judged on, the same for all starts")
    words = parser.parse_args()
    torch.set_num_threads(1)
    model = load_start(Path(words.learned))
    tune, test = signals_of(Path(words.learned), model, words.data)
    tune, test = tune[: words.tune], test[: words.signals]
    marks = [m for m in MARKS if m <= words.steps]
    entries = [parse_entry(text) for text in (words.learned, *words.start, *words.tuned)]
    found = {}
    for entry in entries:
        file = words.out / "starts" / f"{entry.name.replace(':', '-')}.json"
        if not file.is_file():
            began = time.process_time()
            budgets = sorted({b for b in words.budgets if b < marks[-1]} | {marks[-1]})
            told = entry.text not in words.tuned
            start, look = make_start(entry, model, tune, TUNING), Look(words.tune_points, 8192)
            if told and start.recommended:
                best = {b: recommended(start, b) for b in budgets}
            else:
                ways = settings(start, words.adam, words.sgd)
                best = {
                    b: (b, way) for b, way in zip(budgets, chosen_of(start, ways, tune, budgets, look), strict=True)
                }
            chosen = {m: in_budget(m, best) for m in marks}
            scores, losses = fits(entry, model, tune, test, chosen, Look(words.points, words.judged))
            seconds = time.process_time() - began
            flops = flops_of_fit(start, test, marks[-1], words.points)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(dumped(Found(chosen, scores, losses, seconds, flops)))
            print(f"{entry.name}: {seconds:.0f} s, {' '.join(f'{v:.2f}' for v in scores.mean(1))}", flush=True)
        found[entry.name] = loaded(file.read_text())
    report(entries, model, found, marks, words.out, Path(words.data).name)


def signals_of(directory: Path, model: Start, data: str) -> tuple[list[Signal], list[Signal]]:
    """Return the signals that a start's settings were chosen on, and those held out for the end."""
    recipe = load_recipe(directory / "recipe.yaml")
    assert isinstance(recipe, MetalearnRecipe)
    signals = load_signals(recipe.model_copy(update={"data": data}), model.kind)
    return signals["tune"], [model.kind.standard(s) for s in signals["test"]]


def settings(start: Start, adam: Sequence[float] = ADAM, sgd: Sequence[float] = SGD) -> list[Adaptation]:
    """Return the settings to choose from; learned rates alone at three scales, and with Adam after them."""
    if start.rates is None:
        return [*(Adaptation(rate=r) for r in adam), *(Adaptation(optimizer="sgd", rate=r) for r in sgd)]
    alone = (Adaptation(learned_steps=EVERY, scale=s) for s in (0.5, 1.0, 2.0))
    return [*alone, *(Adaptation(learned_steps=start.inner_steps, rate=r) for r in adam)]


def chosen_of(
    start: Start, ways: Sequence[Adaptation], tune: Sequence[Signal], budgets: Sequence[int], look: Look
) -> list[Adaptation]:
    """Return for each budget the setting that scored best on the signals to choose on."""
    curves = np.stack([np.mean([curve(start, s, a, budgets, look)[0] for s in tune], 0) for a in ways])
    return [ways[int(i)] for i in np.argmax(curves[:, 1:], 0)]


def in_budget(mark: int, best: dict[int, tuple[int, Adaptation]]) -> tuple[int, Adaptation]:
    """Return how many steps to make by a mark, and how: as its budget does, as far as it goes."""
    steps, how = best[min(b for b in best if b >= mark)]
    return min(mark, steps), how


def recommended(start: Start, budget: int) -> tuple[int, Adaptation]:
    """Return what a start says of a budget, which may be to make fewer steps."""
    told = start.recommended[min((b for b in start.recommended if b >= budget), default=max(start.recommended))]
    return min(budget, told.steps), told.adaptation


def curve(
    start: Start, signal: Signal, adaptation: Adaptation, marks: Sequence[int], look: Look, seed: int = 0
) -> tuple[list[float], list[float]]:
    """Return a signal's score, and its loss, before any step and after each mark; from where it is lost, the worst."""
    at = (0, *marks)
    whole = start.kind.standard(signal)
    run = start.fit([whole], max(at), adaptation, points=look.points, seed=seed, marks=at, most=look.judged)
    scores = [float(run.curve[m][0]) if m in run.curve else np.nan for m in at]
    worst = np.nanmin(np.where(np.isfinite(scores), scores, np.nan))
    losses = [float(run.losses[m, 0]) if m < len(run.losses) else np.inf for m in at]
    return [s if np.isfinite(s) else float(worst) for s in scores], losses


def fits(
    entry: Entry,
    model: Start,
    tune: Sequence[Signal],
    test: Sequence[Signal],
    chosen: dict[int, tuple[int, Adaptation]],
    look: Look,
) -> tuple[np.ndarray, np.ndarray]:
    """Return scores and losses (marks + 1, signals); marks with the same settings are read along the same fit."""
    starts = [make_start(entry, model, tune, seed) for seed in range(1 if entry.how == "checkpoint" else SEEDS)]
    ways: dict[str, list[int]] = {}
    for mark, (_, adaptation) in chosen.items():
        ways.setdefault(adaptation.model_dump_json(), []).append(mark)
    scores, losses = (np.zeros((len(chosen) + 1, len(test))) for _ in range(2))
    rows = {mark: i + 1 for i, mark in enumerate(chosen)}
    for i, signal in enumerate(test):
        for way, marks in ways.items():
            steps = sorted({chosen[m][0] for m in marks} - {0})
            start = starts[i % len(starts)]
            found, loss = curve(start, signal, Adaptation.model_validate_json(way), steps, look, i)
            scores[0, i], losses[0, i] = found[0], loss[0]
            for mark in marks:
                where = (0, *steps).index(chosen[mark][0])
                scores[rows[mark], i], losses[rows[mark], i] = found[where], loss[where]
    return scores, losses


if __name__ == "__main__":
    main()
