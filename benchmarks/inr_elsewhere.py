"""Starts tried on other pictures than they were learned from: PSNR after 2 and 10 steps, against tuned random weights.

    python benchmarks/inr_elsewhere.py --start photos=checkpoints/photos --start emoji=EMOJI_START \\
        --data photos=FOLDER --data emoji=FOLDER ...

All starts are fields of three values; pictures are converted to colour, transparent ones are flattened onto white, and
larger ones cut to 178 pixels in the middle. Of each folder's pictures (those below `test` where there is one) some
choose the random start's setting, and others are fitted; learned starts follow their own recommendations.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from inr_races import SEEDS, TUNING, Look, chosen_of, curve, paired, recommended, settings
from PIL import Image

from weightgen.compare.entries import make_start, parse_entry
from weightgen.inr.signals import make_kind
from weightgen.inr.signals.files import splits
from weightgen.inr.signals.images import pictures
from weightgen.inr.signals.kind import Signal
from weightgen.inr.start import Start, load_start

MARKS = (2, 10)
SIDE = 178


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--start", action="append", required=True, help="NAME=DIRECTORY")
    parser.add_argument("--data", action="append", required=True, help="NAME=FOLDER")
    parser.add_argument("--signals", type=int, default=20)
    parser.add_argument("--tune", type=int, default=3)
    words = parser.parse_args()
    torch.set_num_threads(1)
    kind = make_kind("image", {"channels": 3, "crop": None, "augment": "none"})
    named = (text.split("=", 1) for text in words.start)
    starts = {name: replace(load_start(Path(path)), kind=kind) for name, path in named}
    first = next(iter(starts.values()))
    rows = " | ".join(f"after {m} | gain over random" for m in MARKS)
    print(f"| fitted | start | {rows} |\n|---|---|{'---:|---:|' * len(MARKS)}", flush=True)
    for text in words.data:
        data, folder = text.split("=", 1)
        found = signals_in(splits(folder).get("test", folder))
        tune, test = found[: words.tune], found[words.tune :][: words.signals]
        plain = [make_start(parse_entry("random"), first, tune, seed) for seed in (*range(SEEDS), TUNING)]
        best = chosen_of(plain[-1], settings(plain[-1]), tune, MARKS, Look(8192))
        base = np.array(
            [
                [curve(plain[i % SEEDS], s, how, [mark], Look(0))[0][-1] for i, s in enumerate(test)]
                for mark, how in zip(MARKS, best, strict=True)
            ]
        )
        print(f"| {data} | random | {' | '.join(f'{v.mean():.2f} | ' for v in base)} |", flush=True)
        for name, start in starts.items():
            reached = followed(start, test)
            told = (f"{r.mean():.2f} | {paired(r - b)}" for r, b in zip(reached, base, strict=True))
            print(f"| {data} | {name} | {' | '.join(told)} |", flush=True)


def followed(start: Start, test: Sequence[Signal]) -> list[np.ndarray]:
    """Return the PSNR of each signal after each mark, fitted as the start recommends."""
    found = []
    for mark in MARKS:
        steps, how = recommended(start, mark)
        found.append(np.array([curve(start, s, how, [steps], Look(0))[0][-1] for s in test]))
    return found


def signals_in(folder: str) -> list[Signal]:
    """Return a folder's pictures in colour, in an order of chance."""
    found = []
    for name, image in pictures(folder):
        if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
            clear = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear)
        pixels = torch.from_numpy(np.array(image.convert("RGB")))
        top, left = (max(0, n - SIDE) // 2 for n in pixels.shape[:2])
        found.append(Signal(Path(name).stem, pixels[top : top + SIDE, left : left + SIDE]))
    return [found[i] for i in np.random.default_rng(0).permutation(len(found))]


if __name__ == "__main__":
    main()
