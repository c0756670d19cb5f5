"""Milliseconds of one training step of one network, by how many are stacked and how they are run.

A step: forward and backward passes of 23,551 parameters over 16 crops of 24 x 24, one thread; the last row is all that
`weightgen collect` does for a step (crops, edits, Adam, clipping, averaging). Times are those of the processor.
Run:  OMP_NUM_THREADS=1 python benchmarks/collect_speed.py
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional

from weightgen.diffusion.collecting import UNCLIPPED, CollectTask
from weightgen.diffusion.domain import domain
from weightgen.diffusion.examples import Edited
from weightgen.diffusion.photos import bundled
from weightgen.diffusion.stack import Stack
from weightgen.models.translator import Translator, TranslatorConfig, translate
from weightgen.training.loop import train
from weightgen.training.settings import Settings

CONFIG = TranslatorConfig()
CROPS, SIDE = 16, 24
Run = Callable[[list[tuple[Tensor, Tensor]], Tensor], Tensor]
"""From weights (K, out, in, 3, 3) and biases (K, out) of each layer, and inputs (N, C, H, W), to (K, N, 3, H, W)."""


def layer(hidden: Tensor, weight: Tensor, bias: Tensor, groups: int = 1) -> Tensor:
    return functional.conv2d(functional.pad(hidden, (1, 1, 1, 1), "replicate"), weight, bias, groups=groups)


def one_by_one(networks: list[tuple[Tensor, Tensor]], inputs: Tensor) -> Tensor:
    """A loop, channels first."""
    made = []
    for k in range(len(networks[0][0])):
        hidden = inputs
        for i, (weights, biases) in enumerate(networks):
            hidden = layer(hidden, weights[k], biases[k])
            hidden = functional.leaky_relu(hidden, 0.1) if i < len(networks) - 1 else hidden
        made.append(hidden)
    return torch.stack(made)


def grouped(networks: list[tuple[Tensor, Tensor]], inputs: Tensor) -> Tensor:
    """One convolution in groups."""
    count = len(networks[0][0])
    hidden = inputs.repeat(1, count, 1, 1)
    for i, (weights, biases) in enumerate(networks):
        hidden = layer(hidden, weights.flatten(0, 1), biases.flatten(), count)
        hidden = functional.leaky_relu(hidden, 0.1) if i < len(networks) - 1 else hidden
    return hidden.reshape(len(inputs), count, 3, *inputs.shape[2:]).transpose(0, 1)


def vmapped(networks: list[tuple[Tensor, Tensor]], inputs: Tensor) -> Tensor:
    """torch.func.vmap over the networks."""

    def single(network: list[tuple[Tensor, Tensor]]) -> Tensor:
        hidden = inputs
        for i, (weight, bias) in enumerate(network):
            hidden = layer(hidden, weight, bias)
            hidden = functional.leaky_relu(hidden, 0.1) if i < len(network) - 1 else hidden
        return hidden

    found: Tensor = torch.func.vmap(single)(networks)
    return found


def unfolded(networks: list[tuple[Tensor, Tensor]], inputs: Tensor) -> Tensor:
    """Patches as columns, and batched products of matrices."""
    count, (batch, _, height, width) = len(networks[0][0]), inputs.shape
    hidden = inputs.expand(count, *inputs.shape).flatten(0, 1)
    for i, (weights, biases) in enumerate(networks):
        columns = functional.unfold(functional.pad(hidden, (1, 1, 1, 1), "replicate"), 3)
        columns = columns.reshape(count, batch, -1, height * width)
        hidden = weights.flatten(2).unsqueeze(1) @ columns + biases[:, None, :, None]
        hidden = hidden.reshape(count * batch, -1, height, width)
        hidden = functional.leaky_relu(hidden, 0.1) if i < len(networks) - 1 else hidden
    return hidden.reshape(count, batch, 3, height, width)


def ours(networks: list[tuple[Tensor, Tensor]], inputs: Tensor) -> Tensor:
    """A loop, channels last: what `translate` does on a CPU."""
    tensors: dict[str, Tensor] = {}
    for i, (weights, biases) in enumerate(networks):
        tensors |= {f"net.{2 * i}.weight": weights, f"net.{2 * i}.bias": biases}
    return translate(CONFIG, tensors, inputs[None, :, :3], inputs[None, :, 3:])


WAYS: dict[str, Run] = {
    "loop, channels last": ours,
    "loop, channels first": one_by_one,
    "grouped convolution": grouped,
    "vmap": vmapped,
    "unfold and bmm": unfolded,
}


def seconds(work: Callable[[], None], repeats: int) -> list[float]:
    """Return how long each repetition took, after one that does not count."""
    work()
    found = []
    for _ in range(repeats):
        started = time.process_time()
        work()
        found.append(time.process_time() - started)
    return found


def pass_through(way: Run, count: int, repeats: int) -> float:
    """Return the fastest forward and backward pass of one network, in ms."""
    parameters = [torch.stack([p.detach()] * count) for p in Translator(CONFIG).parameters()]
    networks = [
        (w.requires_grad_(), b.requires_grad_()) for w, b in zip(parameters[::2], parameters[1::2], strict=True)
    ]
    inputs = torch.rand(CROPS, 6, SIDE, SIDE)

    def work() -> None:
        torch.autograd.grad(way(networks, inputs).abs().mean(), parameters)

    return 1000 * min(seconds(work, repeats)) / count


def whole_step(count: int, steps: int) -> float:
    """Return a step of the training loop for one network, in ms: mean over `steps` steps of the domain's concepts."""
    examples = Edited(bundled(), domain(max(count, 32))[:count])
    stack = Stack(CONFIG, dict(Translator(CONFIG).named_parameters()), count)
    settings = Settings(steps, CROPS, 4e-3, clip=UNCLIPPED, ema=0.9)
    times: list[float] = []
    train(stack, CollectTask(examples, SIDE, 0.1), settings, progress=lambda *_: times.append(time.process_time()))
    return 1000 * statistics.mean(b - a for a, b in pairwise(times)) / count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--counts", type=int, nargs="+", default=[1, 4, 16])
    words = parser.parse_args()
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, {platform.processor() or platform.machine()}, 1 thread\n")
    print("| ms a network and step | " + " | ".join(f"{c} stacked" for c in words.counts) + " |")
    print("|---|" + "---:|" * len(words.counts))
    for name, way in WAYS.items():
        cells = " | ".join(f"{pass_through(way, c, words.repeats):.1f}" for c in words.counts)
        print(f"| {name} | {cells} |", flush=True)
    cells = " | ".join(f"{whole_step(c, words.steps):.1f}" for c in words.counts)
    print(f"| whole step of `collect` | {cells} |")


if __name__ == "__main__":
    main()
