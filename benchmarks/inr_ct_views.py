"""Slices from few views: is the learned start with n views better than a standard one with 2n?

    python benchmarks/inr_ct_views.py checkpoints/ct-slices SLICES

SLICES is the folder that the start was learned from, with `train` and `test`. For each start and number of views the
setting and the number of steps are chosen together on slices that the start was not learned from; the table is of
test slices. The standard start is the same field, random, with Adam; the learned one has its own rates, alone or with
Adam after them. Slice i begins from seed i mod 3.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
from inr_races import ADAM, MARKS, SEEDS, TUNING, Look, curve, paired, settings, signals_of

from weightgen.compare.entries import make_start, parse_entry
from weightgen.inr.fitting import Adaptation
from weightgen.inr.signals import make_kind
from weightgen.inr.signals.kind import Signal
from weightgen.inr.start import Start, load_start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("learned")
    parser.add_argument("data")
    parser.add_argument("--views", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--slices", type=int, default=20)
    parser.add_argument("--tune", type=int, default=2)
    parser.add_argument("--rays", type=int, default=64, help="random ones that a step looks at")
    parser.add_argument("--steps", type=int, default=50, help="at most")
    parser.add_argument("--adam", type=float, nargs="+", default=ADAM, help="rates of Adam to choose from")
    words = parser.parse_args()
    torch.set_num_threads(1)
    model = load_start(Path(words.learned))
    tune, test = signals_of(Path(words.learned), model, words.data)
    marks = [m for m in MARKS if m <= words.steps]
    order, look = np.random.default_rng(0).permutation(len(test))[: words.slices], Look(words.rays)
    standard = [make_start(parse_entry("random"), model, tune, seed) for seed in (*range(SEEDS), TUNING)]

    @cache
    def reached(name: str, views: int) -> np.ndarray:
        starts = [model, model] if name == "learned" else standard
        seen = [with_views(start, views) for start in starts]
        steps, way = chosen(seen[-1], tune[: words.tune], settings(seen[-1], words.adam, sgd=()), marks, look)
        print(f"{name}, {views} views: {steps} steps, {way}", file=sys.stderr, flush=True)
        fitted = [curve(seen[i % (len(seen) - 1)], test[s], way, [steps], look, i)[0] for i, s in enumerate(order)]
        return np.array(fitted)[:, -1]

    print("| n | learned, n views | random, n | random, 2n | learned over random, n | learned n over random 2n |")
    print("|---:|---:|---:|---:|---:|---:|", flush=True)
    for n in words.views:
        learned, same, double = reached("learned", n), reached("random", n), reached("random", 2 * n)
        means = " | ".join(f"{v.mean():.2f}" for v in (learned, same, double))
        print(f"| {n} | {means} | {paired(learned - same)} | {paired(learned - double)} |", flush=True)


def with_views(start: Start, views: int) -> Start:
    """Return a start whose slices are seen from so many directions."""
    return replace(start, kind=make_kind("ct", {**start.kind.config.model_dump(mode="json"), "views": views}))


def chosen(
    start: Start, tune: Sequence[Signal], ways: Sequence[Adaptation], marks: Sequence[int], look: Look
) -> tuple[int, Adaptation]:
    """Return the number of steps and the way of making them that are best on slices to choose on."""
    curves = np.stack([np.mean([curve(start, s, way, marks, look)[0] for s in tune], 0)[1:] for way in ways])
    way, mark = np.unravel_index(int(np.argmax(curves)), curves.shape)
    return marks[int(mark)], ways[int(way)]


if __name__ == "__main__":
    main()
