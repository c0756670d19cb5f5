"""How many pixels should a step look at? Validation PSNR over seconds of learning, by points per step.

    python benchmarks/inr_points.py FOLDER_OF_PHOTOS --seconds 150

Every setting learns for the same time of one core (scoring at the marks is in it), from the same start, with the same
outer rate and a schedule that ends with the time; validation photos are held out of the folder, and fitted with all
their pixels in two steps.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch

from weightgen.inr.config import field_config
from weightgen.inr.field import Field
from weightgen.inr.learner import Inner, MetaLearner
from weightgen.inr.learning import MetaTask
from weightgen.inr.signals import make_kind
from weightgen.training.loop import train
from weightgen.training.scoring import score
from weightgen.training.settings import Settings

FIELD = {"hidden": 440, "hidden_layers": 2, "first_frequency": 60, "gain": 2, "offset": 0.5}
VALIDATION = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--seconds", type=float, default=150.0)
    parser.add_argument("--points", type=int, nargs="+", default=[512, 2048, 8192, 31684])
    words = parser.parse_args()
    torch.set_num_threads(1)
    kind = make_kind("image", {"channels": 3})
    found = kind.load(words.folder)
    order = [found[i] for i in np.random.default_rng(0).permutation(len(found))]
    held_out, photos = order[:VALIDATION], order[VALIDATION:]
    print("| points | signals a step | steps | seconds | PSNR after 2 steps, at a third | two thirds | the end |")
    print("|---:|---:|---:|---:|---:|---:|---:|")
    for points in words.points:
        batch = max(1, 6144 // points)
        task = MetaTask(kind, {"train": photos, "tune": held_out, "validation": held_out}, 2, points, relative=True)
        pace = run(task, 3, batch, 10**9)
        steps = max(3, round(words.seconds / pace[0] * 3))
        seconds, curve = run(task, steps, batch, steps // 3)
        told = " | ".join(f"{value:.2f}" for value in curve[1:])
        print(f"| {points} | {batch} | {steps} | {seconds:.0f} | {told} |", flush=True)


def run(task: MetaTask, steps: int, batch: int, every: int) -> tuple[float, list[float]]:
    """Return the seconds in outer steps, and the PSNR after each third of them."""
    model = MetaLearner(Field(field_config("siren", FIELD)), task.kind, Inner(2, 0.3, True), "maml", True)
    marks = tuple(sorted({0, every, 2 * every, steps})) if every <= steps else ()
    settings = Settings(steps=steps, batch_size=batch, learning_rate=0.02, weight_decay=0.0, clip=10.0, marks=marks)
    began = time.process_time()
    trained = train(model, task, settings)
    seconds = time.process_time() - began
    if not marks:
        return seconds, []
    curve = [float(np.mean(c)) for c in trained.curve[:3]]
    return seconds, [*curve, float(np.mean(score(trained.model, task, "validation")))]


if __name__ == "__main__":
    main()
