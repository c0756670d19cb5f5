"""What do generated networks do before any training? PSNR on unseen photos, for four ways of holding concepts out.

    weightgen collect --out zoo
    weightgen train-generator zoo --out joint
    weightgen train-generator zoo --denoiser film --denoising 0 --out film
    python benchmarks/generator.py zoo joint film

Every row is a way to get weights for a prompt; the own network is what was collected for the concept itself, and not a
fair competitor. What has settings is given those that are best on concepts that the generators watch but do not learn
from. Gains over the nearest network are paired by concept, with 95 % intervals of a bootstrap over concepts.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from weightgen.diffusion.baselines import Zoo, blend, features, mean, nearest, noisy, ridge, ridge_and_nearest
from weightgen.diffusion.concepts import SPLITS, Concept
from weightgen.diffusion.condition import condition
from weightgen.diffusion.examples import Edited
from weightgen.diffusion.loading import load_generator
from weightgen.diffusion.prompt import parse
from weightgen.diffusion.quality import l1, psnr
from weightgen.diffusion.text import load_encoder
from weightgen.diffusion.translator import translate
from weightgen.train_generator import Networks, open_networks

CROPS, SIZE, DRAWS = 32, 64, 10_000
Method = Callable[[Zoo, Tensor], Tensor]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("zoo", type=Path)
    parser.add_argument("generators", type=Path, nargs="*")
    words = parser.parse_args()
    torch.manual_seed(0)
    networks, encoder = open_networks(words.zoo), load_encoder()
    data, base = networks.data, networks.base
    assert networks.examples is not None
    differences = data.blocks - data.layout.split(data.base)

    def asked(concepts: list[Concept]) -> Tensor:
        prompts = [parse(c.captions[0]) for c in concepts]
        return features(condition(prompts, encoder.embed([p.text for prompt in prompts for p in prompt])))

    learned = networks.which["train"]
    zoo = Zoo(asked([data.concepts[i] for i in learned]), differences[learned])
    watched = networks.which["validation"]
    prompts = asked([data.concepts[i] for i in watched])

    def watched_psnr(method: Method) -> float:
        return float(score(networks, watched, method(zoo, prompts)).mean())

    chosen = choose(watched_psnr)
    splits = [s for s in SPLITS if s != "train"]
    print("| weights | " + " | ".join(f"{s} ({len(data.of(s))})" for s in splits) + " |")
    print("|---|" + "---:|" * len(splits))
    rows: dict[str, list[str]] = {}
    for split in splits:
        which = data.of(split)
        concepts = [data.concepts[i] for i in which]
        query = asked(concepts)
        found = {name: score(networks, which, method(zoo, query)) for name, method in chosen.items()}
        found["best of training, by data"] = score(networks, which, best_by_data(networks, learned, which))
        for directory in words.generators:
            pipeline = load_generator(directory)
            pipeline.use_encoder(encoder)
            captions = [c.captions[0] for c in concepts]
            for steps in (1, 20) if pipeline.denoiser.__class__.__name__ != "FilmDenoiser" else (1,):
                for name, texts in (("", captions), (", wrong prompt", captions[1:] + captions[:1])):
                    if name and steps > 1:
                        continue
                    made = pipeline(texts, steps=steps, generator=torch.Generator().manual_seed(0))
                    weights = {n: torch.stack([d[n] for d in made.state_dicts]) for n in data.layout.shapes}
                    label = f"{directory.name}, {steps} step{'s' if steps > 1 else ''}{name}"
                    found[label] = score(networks, which, base.differences(weights))
        found["own network"] = score(networks, which, differences[which])
        for name, scores in found.items():
            gain = "" if name == "nearest" else f" ({interval(scores - found['nearest'])})"
            rows.setdefault(name, []).append(f"{scores.mean():.1f}{gain}")
    for name, cells in rows.items():
        print(f"| {name} | " + " | ".join(cells) + " |")


def choose(watched_psnr: Callable[[Method], float]) -> dict[str, Method]:
    """Return the simple ways, with the settings that are best on watched concepts."""

    def ridge_with(components: int, penalty: float) -> Method:
        return lambda zoo, prompts: ridge(zoo, prompts, components, penalty)

    def blend_with(neighbours: int, temperature: float) -> Method:
        return lambda zoo, prompts: blend(zoo, prompts, neighbours, temperature)

    def both_with(components: int, penalty: float) -> Method:
        return lambda zoo, prompts: ridge_and_nearest(zoo, prompts, components, penalty)

    grid, blends = list(product((16, 64, 128), (0.01, 0.1, 1.0, 10.0))), list(product((2, 8), (0.02, 0.1, 0.5)))
    return {
        "shared base": lambda zoo, prompts: torch.zeros(len(prompts), *zoo.differences.shape[1:]),
        "mean": mean,
        "nearest": nearest,
        "nearest with noise": lambda zoo, prompts: noisy(zoo, prompts, 0.1, torch.Generator().manual_seed(0)),
        "blend of neighbours": blend_with(*max(blends, key=lambda g: watched_psnr(blend_with(*g)))),
        "ridge": ridge_with(*max(grid, key=lambda g: watched_psnr(ridge_with(*g)))),
        "ridge and nearest": both_with(*max(grid, key=lambda g: watched_psnr(both_with(*g)))),
    }


def score(networks: Networks, which: list[int], differences: Tensor) -> np.ndarray:
    """Return the PSNR of networks on crops of test photos, each for its own concept, (K,)."""
    shown = examples_of_all(networks, which)
    photos = shown.test(CROPS, SIZE)
    tensors = networks.base.assemble(differences)
    assert networks.data.config is not None
    with torch.no_grad():
        made = translate(networks.data.config, tensors, photos["images"], photos["positions"]).clamp(0, 1)
    return psnr(made, shown.targets(photos)).numpy()


def examples_of_all(networks: Networks, which: list[int]) -> Edited:
    """Return what shows any of the dataset's concepts."""
    assert networks.examples is not None
    train = networks.examples["train"]
    assert isinstance(train, Edited)
    return Edited(train.photos, [networks.data.concepts[i] for i in which])


def best_by_data(networks: Networks, learned: list[int], which: list[int]) -> Tensor:
    """Return for each concept the training network with the least error on pairs of training photos."""
    shown = examples_of_all(networks, which)
    photos = shown.draw(range(16), 32)
    data = networks.data
    assert data.config is not None
    with torch.no_grad():
        made = translate(data.config, data.tensors(learned), photos["images"], photos["positions"])
    targets = shown.targets(photos)
    errors = torch.stack([l1(made, target.expand_as(made)) for target in targets])
    return (data.blocks - data.layout.split(data.base))[learned][errors.argmin(1)]


def interval(gains: np.ndarray) -> str:
    """Return the mean gain with its bootstrap interval, in dB."""
    draws = np.random.default_rng(0).integers(len(gains), size=(DRAWS, len(gains)))
    low, high = np.percentile(gains[draws].mean(1), [2.5, 97.5])
    return f"{gains.mean():+.1f}: {low:+.1f} to {high:+.1f}"


if __name__ == "__main__":
    main()
