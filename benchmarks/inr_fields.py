"""Which field is a good start before anything is learned? Only the inner rates are learned here, the weights stay.

    python benchmarks/inr_fields.py FOLDER_OF_PHOTOS

Every field, of at most 200 k parameters, gets the same outer steps for the logarithms of its inner rates (one for each
tensor and step), on some pixels of some photos; then its PSNR after two steps on all pixels of photos held out of the
folder. The rates begin at the best of a grid, chosen on photos that are learned from; every field at middle grey. Seeds
are of its weights and of what it looks at; leads over the field of `photos-deep` are seed by seed, 95 %.
"""

from __future__ import annotations

import argparse
import math
from typing import Any

import numpy as np
import torch
from measures import over_seeds

from weightgen.inr.config import field_config
from weightgen.inr.field import Field
from weightgen.inr.learner import Inner, MetaLearner
from weightgen.inr.learning import MetaTask
from weightgen.inr.signals import make_kind
from weightgen.inr.signals.kind import Signal
from weightgen.training.loop import train
from weightgen.training.outcome import Diverged
from weightgen.training.scoring import score
from weightgen.training.settings import Settings
from weightgen.training.task import Split

VALIDATION, GRID = 8, (0.003, 0.03, 0.3)
REFERENCE = "SIREN 2-440x2-3, first w0 60, gain 2"
UNMOVED = 1e-9  # outer rate of the weights: the loop wants a positive one
WIDE = {"hidden": 440, "hidden_layers": 2}
FIELDS: dict[str, tuple[str, dict[str, Any]]] = {
    "SIREN 2-256x4-3, w0 30": ("siren", {"hidden": 256, "hidden_layers": 4}),
    "SIREN 2-256x4-3, first w0 60": ("siren", {"hidden": 256, "hidden_layers": 4, "first_frequency": 60}),
    "SIREN 2-310x3-3, first w0 60, gain 2": (
        "siren",
        {"hidden": 310, "hidden_layers": 3, "first_frequency": 60, "gain": 2},
    ),
    "SIREN 2-440x2-3, w0 30": ("siren", WIDE),
    **{
        f"SIREN 2-440x2-3, first w0 {w}, gain {gain:g}": ("siren", {**WIDE, "first_frequency": w, "gain": gain})
        for w, gain in ((60, 0.5), (60, 1), (60, 2), (60, 3), (60, 5), (100, 1), (100, 2))
    },
    "FINER 2-440x2-3": ("finer", WIDE),
    "Gaussian 2-440x2-3": ("gauss", WIDE),
    "WIRE 2-311x2-3": ("wire", WIDE),  # complex: as many parameters
    "Fourier features, ReLU": ("fourier", {"hidden": 256, "hidden_layers": 2}),
    "positional encoding, ReLU": ("positional", {"hidden": 400, "hidden_layers": 2}),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--points", type=int, default=1024)
    parser.add_argument("--seeds", type=int, default=5)
    words = parser.parse_args()
    torch.set_num_threads(1)
    kind = make_kind("image", {"channels": 3})
    found = kind.load(words.folder)
    order = [found[i] for i in np.random.default_rng(0).permutation(len(found))]
    held_out, photos = order[:VALIDATION], order[VALIDATION:]
    signals: dict[Split, list[Signal]] = {"train": photos, "tune": photos[:4], "validation": held_out}
    task = MetaTask(kind, signals, 2, words.points, relative=True)
    names = [REFERENCE, *(name for name in FIELDS if name != REFERENCE)]
    print("| field | parameters | rates begin at | PSNR after 2 steps | lead |\n|---|---:|---:|---:|---:|")
    reference: list[float] = []
    for name in names:
        family, arguments = FIELDS[name]
        config = field_config(family, {"outputs": 3, "offset": 0.5, **arguments})
        began, psnrs = [], []
        for seed in range(words.seeds):
            _, rate = max((learned(task, config, rate, 10, "tune", seed), rate) for rate in GRID)
            began.append(rate)
            psnrs.append(learned(task, config, rate, words.steps, "validation", seed))
        reference = reference or psnrs
        leads = [own - other for own, other in zip(psnrs, reference, strict=True)]
        lead = "" if name == REFERENCE else over_seeds(leads).short("+.1f")
        count = sum(p.numel() for p in Field(config).parameters())
        rates = ", ".join(f"{rate:g}" for rate in sorted(set(began)))
        print(f"| {name} | {count} | {rates} | {over_seeds(psnrs).short('.1f')} | {lead} |", flush=True)


def learned(task: MetaTask, config: Any, rate: float, steps: int, split: Split, seed: int) -> float:
    """Return the PSNR on a split after so many outer steps of the inner rates."""
    model = MetaLearner(Field(config, seed), task.kind, Inner(2, rate, True), "maml", True)
    settings = Settings(
        steps=steps,
        batch_size=3,
        learning_rate=UNMOVED,
        weight_decay=0.0,
        clip=10.0,
        marks=(),
        data_seed=seed,
        augment_seed=seed,
    )
    try:
        train(model, task, settings)
    except Diverged:
        return -math.inf
    return float(np.mean(score(model, task, split)))


if __name__ == "__main__":
    main()
