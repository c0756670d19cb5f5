"""Seconds and memory of one meta-step at full resolution, against the floor of its matrix products.

The setting of the reference: SIREN 2-256x4-3, 178 x 178 pixels, batch 3, 2 inner steps, float32, all cores.
Run on an idle machine:  python benchmarks/inr_speed.py
"""

from __future__ import annotations

import argparse
import resource
import time
from concurrent.futures import ThreadPoolExecutor

import torch

from weightgen.inr.config import field_config
from weightgen.inr.derivatives import Autograd, Derivatives
from weightgen.inr.field import Field
from weightgen.inr.learner import Gradient, Inner, MetaLearner
from weightgen.inr.signals import make_kind

SIDE, BATCH, STEPS = 178, 3, 2
FORWARDS = {"reptile": 6, "fomaml": 9, "maml": 21}
"""Passes that one task's meta-gradient costs: a gradient is three, a Hessian-vector product six (2 inner steps)."""


class Plain(MetaLearner):
    """The same algorithm with autograd's derivatives, in chunks."""

    def derivatives(self) -> Derivatives:
        return Autograd(lambda tensors, part: self.kind.loss(self.field(part["coordinates"], tensors), part))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    words = parser.parse_args()
    torch.set_num_threads(words.threads)
    kind, config = make_kind("image", {}), field_config("siren", {"frequency": 30.0})
    field = Field(config)
    products = sum(p.numel() for n, p in field.named_parameters() if n.endswith("weight"))
    forward = 2 * products * SIDE * SIDE  # operations of one pass over one image
    generator = torch.Generator().manual_seed(0)
    shape = (BATCH, STEPS + 1, SIDE * SIDE)
    batch = {
        "coordinates": torch.rand(*shape, 2, generator=generator) * 2 - 1,
        "values": torch.rand(*shape, 3, generator=generator),
    }
    print(f"torch {torch.__version__}, {words.threads} threads, pass of one image {forward / 1e9:.2f} Gflop")
    print("| algorithm | derivatives | s / meta-step | floor, s | ratio | Gflop/s | peak memory, GB |")
    print("|---|---|---:|---:|---:|---:|---:|")
    names: tuple[Gradient, ...] = ("reptile", "fomaml", "maml")
    for name in names:
        grads = {}
        for label, kind_of_learner in (("written out", MetaLearner), ("autograd", Plain)):
            learner = kind_of_learner(field, kind, Inner(STEPS, 1e-2, False), name)
            seconds, peak = [], []
            for _ in range(words.repeats):
                peak.append(matrix_peak(words.threads))  # before each, since the machine's clock changes
                seconds.append(timed(learner, batch))
            grads[label] = torch.cat([p.grad.flatten() for p in field.parameters() if p.grad is not None])
            work = BATCH * FORWARDS[name] * forward
            floors = [work / p for p in peak]
            ratio = min(s / f for s, f in zip(seconds, floors, strict=True))
            print(
                f"| {name} | {label} | {min(seconds):.2f} | {min(floors):.2f} | {ratio:.2f} | "
                f"{work / min(seconds) / 1e9:.0f} | {memory():.2f} |",
                flush=True,
            )
        difference = (grads["written out"] - grads["autograd"]).norm() / grads["autograd"].norm()
        print(f"  {name}: relative difference of the two gradients {float(difference):.1e}")


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


def memory() -> float:
    """Return the largest resident memory of this process so far, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


if __name__ == "__main__":
    main()
