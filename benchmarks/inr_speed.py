"""Seconds and memory of one meta-step at full resolution, against the floor of its matrix products.

The setting of the reference: SIREN 2-256x4-3, 178 x 178 pixels, batch 3, 2 inner steps, float32, all cores.
Run on an idle machine:  python benchmarks/inr_speed.py
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import statistics
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch

from weightgen.inr.config import field_config
from weightgen.inr.derivatives import Autograd, Derivatives
from weightgen.inr.field import Field
from weightgen.inr.learner import Gradient, Inner, MetaLearner
from weightgen.inr.signals import make_kind

SIDE, BATCH, STEPS = 178, 3, 2
FORWARDS: dict[Gradient, int] = {"reptile": 6, "fomaml": 9, "maml": 21}
"""Passes that one task's meta-gradient costs: a gradient is three, a Hessian-vector product six (2 inner steps)."""


class Plain(MetaLearner):
    """The same algorithm with autograd's derivatives, in chunks."""

    def derivatives(self) -> Derivatives:
        return Autograd(lambda tensors, part: self.kind.loss(self.field(part["coordinates"], tensors), part))


@dataclass(frozen=True)
class Measured:
    """One algorithm with one kind of derivatives, in a process of its own."""

    seconds: list[float]
    peaks: list[float]
    """Operations a second of products in the cache, measured before each of them: the machine's clock changes."""
    memory: float
    """Largest resident memory in GB, libraries included."""
    gradient: np.ndarray


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    words = parser.parse_args()
    products = sum(p.numel() for n, p in Field(field_config("siren", {})).named_parameters() if n.endswith("weight"))
    forward = 2 * products * SIDE * SIDE  # operations of one pass over one image
    print(f"torch {torch.__version__}, {words.threads} threads, a pass over one image is {forward / 1e9:.2f} Gflop\n")
    print("| algorithm | derivatives | s / meta-step | floor, s | ratio | Gflop/s | peak memory, GB |")
    print("|---|---|---:|---:|---:|---:|---:|")
    differences = []
    for name in FORWARDS:
        grads = {}
        for label in ("written out", "autograd"):
            with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
                found = pool.submit(measure, name, label, words.threads, words.repeats).result()
            grads[label] = found.gradient
            work = BATCH * FORWARDS[name] * forward
            ratios = [s * p / work for s, p in zip(found.seconds, found.peaks, strict=True)]
            print(
                f"| {name} | {label} | {statistics.median(found.seconds):.2f} | {work / max(found.peaks):.2f} | "
                f"{statistics.median(ratios):.2f} | {work / statistics.median(found.seconds) / 1e9:.0f} | "
                f"{found.memory:.2f} |",
                flush=True,
            )
        gap = np.linalg.norm(grads["written out"] - grads["autograd"]) / np.linalg.norm(grads["autograd"])
        differences.append(f"{name} {gap:.0e}")
    print(f"\nRelative difference of the two gradients: {', '.join(differences)}.")


def measure(name: Gradient, label: str, threads: int, repeats: int) -> Measured:
    """Time meta-gradients of random signals."""
    torch.set_num_threads(threads)
    generator = torch.Generator().manual_seed(0)
    shape = (BATCH, STEPS + 1, SIDE * SIDE)
    batch = {
        "coordinates": torch.rand(*shape, 2, generator=generator) * 2 - 1,
        "values": torch.rand(*shape, 3, generator=generator),
    }
    field = Field(field_config("siren", {}))
    made = (MetaLearner if label == "written out" else Plain)(
        field, make_kind("image", {}), Inner(STEPS, 1e-2, False), name
    )
    timed(made, batch)  # the first finds no memory to use again
    seconds, peaks = [], []
    for _ in range(repeats):
        peaks.append(matrix_peak(threads))
        seconds.append(timed(made, batch))
    gradient = torch.cat([p.grad.flatten() for p in field.parameters() if p.grad is not None])
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    return Measured(seconds, peaks, memory, gradient.numpy())


def timed(learner: MetaLearner, batch: dict[str, torch.Tensor]) -> float:
    """Return the seconds of one meta-gradient."""
    learner.zero_grad()
    start = time.perf_counter()
    learner({"steps": batch}).mean().backward()
    return time.perf_counter() - start


def matrix_peak(threads: int, rows: int = 1024, width: int = 256, repeats: int = 60) -> float:
    """Return the operations a second of products (rows, width) x (width, width) that stay in the cache, all cores."""

    def work(_: int) -> None:
        a, b = torch.randn(rows, width), torch.randn(width, width)
        out = torch.empty(rows, width)
        for _ in range(repeats):
            torch.mm(a, b, out=out)

    torch.set_num_threads(1)
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(threads)))  # warm
        start = time.perf_counter()
        list(pool.map(work, range(threads)))
        seconds = time.perf_counter() - start
    torch.set_num_threads(threads)
    return threads * repeats * 2 * rows * width**2 / seconds


if __name__ == "__main__":
    main()
