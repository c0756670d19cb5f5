"""Do generated weights help? Before any training, and through the first steps of it, against every cheaper way.

    weightgen run recipes/weights-zoo.yaml
    weightgen run recipes/generator.yaml
    python benchmarks/generator.py zoo subspace=checkpoints/generator film=film --out results

Each generator is NAME=DIRECTORY, or NAME=DIRECTORY,DIRECTORY,... of the same one trained with other seeds, which are
averaged. Every way gives a network for each held-out concept; step 0 is judged on crops of photos that nothing was
trained on. Those named by `--tune` are then fine-tuned with Adam, at the rate of one grid that
is best for that way on watched concepts, which are neither learned from nor reported. What is found is kept in `--out`,
so that the same command goes on where it was stopped; `python benchmarks/generator_report.py results` tells it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from generator_ways import (
    CLIP,
    PAIRS,
    Ground,
    back,
    best_by_data,
    chosen_by_pairs,
    fine_tune,
    longer_base,
    random_start,
    reptile,
    simple_ways,
    stack_of,
    tuned,
)
from safetensors.torch import load_file, save_file
from torch import Tensor

from weightgen.diffusion.concepts import SPLITS
from weightgen.diffusion.from_recipe import open_networks
from weightgen.diffusion.loading import load_generator
from weightgen.diffusion.pipeline import WeightGenerationPipeline
from weightgen.diffusion.quality import l1, psnr, ssim
from weightgen.diffusion.stack import StackAdam
from weightgen.diffusion.text import load_encoder

RATES = (2.5e-4, 5e-4, 1e-3, 2e-3, 4e-3)
MARKS = (0, 5, 10, 20)
READINGS = 8
SEEDS = 3
HELD_OUT = tuple(s for s in SPLITS if s != "train")
Plain = Callable[[Sequence[int]], Tensor]
Way = Callable[[Sequence[int], int], Tensor]
"""From concepts and the number of a seed to networks, as differences from the base (K, blocks, size)."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("zoo", type=Path)
    parser.add_argument("generators", nargs="*", help="NAME=DIRECTORY,...; the first two are also asked in other ways")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--tune", nargs="*", default=[], help="fine-tune these ways; by default all are judged before any training"
    )
    parser.add_argument("--long", type=int, default=0, help="steps of a further fine-tuning of those, one seed")
    words = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    words.out.mkdir(parents=True, exist_ok=True)
    ground = Ground.of(open_networks(words.zoo), load_encoder())
    ways = all_ways(ground, dict(text.split("=", 1) for text in words.generators), words.out)
    if not words.tune:
        step_zero(ground, ways, words.out)
    for name in words.tune:
        plain = name.replace(",", "").replace(" ", "-")
        file = words.out / f"curves-{plain}.json"
        if not file.exists():
            file.write_text(json.dumps(curves(ground, ways[name])))
            print(file, flush=True)
        rate, file = json.loads(file.read_text())["rate"], words.out / f"long-{plain}.json"
        if words.long and not file.exists():
            file.write_text(json.dumps(long_curves(ground, ways[name], rate, words.long)))
            print(file, flush=True)


def all_ways(ground: Ground, generators: Mapping[str, str], kept: Path) -> dict[str, Way]:
    """Return every way by name; what is trained here once is kept in a directory."""

    def shared(start: Tensor) -> Way:
        return lambda which, seed: start.expand(len(which), *start.shape)

    found: dict[str, Way] = {name: unseeded(way) for name, way in simple_ways(ground).items()}
    untaught = [random_start(ground, 1 + seed) for seed in range(SEEDS)]
    found["random"] = lambda which, seed: untaught[seed].expand(len(which), *untaught[seed].shape)
    found["base, trained longer"] = shared(once(kept, "longer", lambda: longer_base(ground, 4000, 2e-3)))
    found["reptile"] = shared(once(kept, "reptile", lambda: reptile(ground, 1500, 5, 2e-3, 0.3)))
    found["best of training, by data"] = unseeded(lambda which: best_by_data(ground, which))
    for number, (name, directories) in enumerate(generators.items()):
        trained = [load_generator(Path(directory)) for directory in directories.split(",")]
        for pipeline in trained:
            pipeline.use_encoder(ground.encoder)
        every = [ways_of(ground, name, pipeline) for pipeline in trained]
        for way in every[0] if number < 2 else [name]:
            found[way] = in_turn([mine[way] for mine in every])
    held_out = [i for split in HELD_OUT for i in ground.networks.data.of(split)]
    found["own network"] = unseeded(lambda which: ground.differences[which])
    ceiling = once(kept, "ceiling", lambda: converged(ground, held_out))
    found["own network, converged"] = unseeded(lambda which: ceiling[[held_out.index(i) for i in which]])
    return found


def unseeded(way: Plain) -> Way:
    """Return a way that is the same for every seed."""
    return lambda which, seed: way(which)


def in_turn(ways: Sequence[Plain]) -> Way:
    """Return the ways of one generator trained with several seeds as one: seed k takes the k-th, and then anew."""
    return lambda which, seed: ways[seed % len(ways)](which)


def ways_of(ground: Ground, name: str, pipeline: WeightGenerationPipeline) -> dict[str, Plain]:
    """Return the ways to use one generator."""

    def generated(texts: Sequence[str], steps: int, samples: int = 1, snap: bool = False) -> Tensor:
        noise = torch.Generator().manual_seed(0)
        made = pipeline(texts, steps=steps, samples=samples, generator=noise, snap=snap, reread=samples > 1)
        weights = {n: torch.stack([d[n] for d in made.state_dicts]) for n in ground.networks.data.layout.shapes}
        return ground.networks.base.differences(weights)

    def said(which: Sequence[int]) -> list[str]:
        return [c.captions[0] for c in ground.concepts(which)]

    def turned(which: Sequence[int]) -> list[str]:
        texts = said(which)
        return texts[1:] + texts[:1]

    def chosen(which: Sequence[int]) -> Tensor:
        every = generated(said(which), 1, READINGS)
        return chosen_by_pairs(ground, which, every.unflatten(0, (len(which), READINGS)))

    found: dict[str, Plain] = {name: lambda which: generated(said(which), 1)}
    found[f"{name}, wrong prompt"] = lambda which: generated(turned(which), 1)
    found[f"{name}, empty prompt"] = lambda which: generated([""] * len(which), 1)
    found[f"{name}, snapped"] = lambda which: generated(said(which), 1, snap=True)
    found[f"{name}, best of {READINGS} readings by {PAIRS} pairs"] = chosen
    if not name.startswith("film"):
        found[f"{name}, 20 steps"] = lambda which: generated(said(which), 20)
    return found


def once(kept: Path, name: str, make: Callable[[], Tensor]) -> Tensor:
    """Return what was made and kept before, or make it."""
    file = kept / f"{name}.safetensors"
    if not file.exists():
        save_file({name: make().contiguous()}, file)
    return load_file(file)[name]


def converged(ground: Ground, which: Sequence[int]) -> Tensor:
    """Return the own networks of concepts after 300 further steps at a rate that falls in three."""
    found = []
    for i in which:
        difference = ground.differences[[i]]
        for turn, rate in enumerate((4e-3, 1e-3, 2.5e-4)):
            difference = tuned(ground, ground.shown([i]), difference, 100, rate, turn)
        found.append(difference)
    return torch.cat(found)


def step_zero(ground: Ground, ways: Mapping[str, Way], out: Path) -> None:
    """Judge ways before any training, and measure how far their weights are from others."""
    file = out / "step0.json"
    found = json.loads(file.read_text()) if file.exists() else {}
    held_out = {split: ground.networks.data.of(split) for split in HELD_OUT}
    own = {split: ground.outputs(which, ground.differences[which])[0] for split, which in held_out.items()}
    for name, way in ways.items():
        if name in found:
            continue
        found[name] = {}
        for split, which in held_out.items():
            made = [way(which, seed) for seed in range(SEEDS)]
            # What no seed changes is judged once.
            different = made if any(not torch.equal(m, made[0]) for m in made) else made[:1]
            seeds = [judged(ground, which, m, own[split]) for m in different]
            found[name][split] = {measure: [values[measure] for values in seeds] for measure in seeds[0]}
        file.write_text(json.dumps(found))
        print(name, {s: round(float(np.mean(found[name][s]["psnr"])), 2) for s in HELD_OUT}, flush=True)


def judged(ground: Ground, which: Sequence[int], made: Tensor, own: Tensor) -> dict[str, list[float]]:
    """Return what networks score, and how far they are from their own and from training ones, (K,) each."""
    outputs, wanted = ground.outputs(which, made)
    flat, learned = made.flatten(1), ground.differences[ground.networks.which["train"]]
    near = torch.cdist(flat, learned.flatten(1))
    distances = {
        "to own": (flat - ground.differences[which].flatten(1)).norm(dim=1),
        "to nearest": near.min(1).values,
        "outputs to own": l1(outputs, own),
        "outputs to nearest": l1(outputs, ground.outputs(which, learned[near.argmin(1)])[0]),
    }
    scores = {m.__name__: m(outputs, wanted) for m in (psnr, ssim, l1)}
    return {name: values.tolist() for name, values in {**scores, **distances}.items()}


def curves(ground: Ground, way: Way) -> dict[str, object]:
    """Return PSNR at the marks, by split (seeds, marks, K), at the rate that is best on watched concepts."""
    watched = ground.watched
    start = way(watched, 0)
    means = {rate: float(curve(ground, watched, start, rate, 100, MARKS)[1:].mean()) for rate in RATES}
    rate = max(means, key=lambda r: means[r])
    found: dict[str, object] = {"rate": rate, "watched": means, "marks": MARKS}
    for split in HELD_OUT:
        which = ground.networks.data.of(split)
        found[split] = [curve(ground, which, way(which, seed), rate, seed, MARKS).tolist() for seed in range(SEEDS)]
    return found


def long_curves(ground: Ground, way: Way, rate: float, steps: int) -> dict[str, object]:
    """Return PSNR of strengths and compositions through many steps, of one seed."""
    marks = tuple(m for m in (0, 5, 10, 20, 35, 50, 75, 100, 150, 200, 300, 400) if m <= steps)
    found: dict[str, object] = {"rate": rate, "marks": marks}
    for split in ("strength", "composition"):
        which = ground.networks.data.of(split)
        found[split] = curve(ground, which, way(which, 0), rate, 0, marks).tolist()
    return found


def curve(
    ground: Ground, which: Sequence[int], start: Tensor, rate: float, seed: int, marks: Sequence[int]
) -> np.ndarray:
    """Return the PSNR of networks that are fine-tuned from a start, (marks, K)."""
    stack = stack_of(ground, start)
    optimizer, examples = StackAdam(stack, rate, CLIP), ground.shown(which)
    found = []
    for before, mark in zip((0, *marks), marks, strict=False):
        fine_tune(stack, optimizer, examples, range(before, mark), seed)
        found.append(ground.score(which, back(ground, stack)))
    return np.stack(found)


if __name__ == "__main__":
    main()
