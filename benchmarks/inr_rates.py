"""What are learned rates worth without the learned weights, and on pictures that are not square?

    python benchmarks/inr_rates.py PHOTOS checkpoints/photos checkpoints/photos-deep

Each start's learned rates, two steps: from its weights and from the same field drawn at random, with all pixels and
with 8192 random ones a step; then on strips of the pictures, where rates are multiplied by the part of the square that
is covered, and where they are not.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from weightgen.inr.field import Field
from weightgen.inr.fitting import Adaptation
from weightgen.inr.search import EVERY
from weightgen.inr.signals import make_kind
from weightgen.inr.signals.kind import Signal
from weightgen.inr.start import Start, load_start

STEPS, POINTS = 2, 8192
ROWS = (178, 100, 60)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos")
    parser.add_argument("starts", nargs="+", type=Path)
    parser.add_argument("--pictures", type=int, default=4)
    words = parser.parse_args()
    torch.set_num_threads(1)
    starts = {path.name: load_start(path) for path in words.starts}
    kind = next(iter(starts.values())).kind
    found = kind.load(words.photos)
    order = np.random.default_rng(0).permutation(len(found))[: words.pictures]
    squares = [kind.standard(found[i]) for i in order]
    print(f"| PSNR after {STEPS} steps | all pixels | {POINTS} random ones |\n|---|---:|---:|")
    for name, start in starts.items():
        for weights, field in (("", start.field), (", random weights", Field(start.field.config, 0))):
            scores = (reached(replace(start, field=field), squares, points) for points in (0, POINTS))
            print(f"| {name}{weights} | {' | '.join(f'{s:.2f}' for s in scores)} |", flush=True)
    print("\n| rows | start | rates times the part covered | as they are |\n|---:|---|---:|---:|")
    for rows in ROWS:
        strips = [Signal(s.name, s.data[:rows]) for s in squares]
        for name, start in starts.items():
            config = start.kind.config.model_dump(mode="json")
            uncut = replace(start, kind=make_kind("image", {**config, "crop": None}))  # any shape is whole to this kind
            print(f"| {rows} | {name} | {reached(start, strips):.2f} | {reached(uncut, strips):.2f} |", flush=True)


def reached(start: Start, signals: Sequence[Signal], points: int = 0) -> float:
    """Return the mean PSNR after the steps, good or bad, with the start's learned rates."""
    runs = (start.fit([s], STEPS, Adaptation(learned_steps=EVERY), points=points, marks=[STEPS]) for s in signals)
    return float(np.mean([run.curve[STEPS][0] for run in runs]))


if __name__ == "__main__":
    main()
