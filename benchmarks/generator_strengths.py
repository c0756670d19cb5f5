"""PSNR before any training at every strength that training never asks for, of all 32 operations, by generator.

    python benchmarks/generator_strengths.py zoo subspace=checkpoints/generator,ours-1,ours-2 film=film,film-1,film-2

benchmarks/generator.py has one such strength of 16 operations, for which networks were collected, too. For what is
asked here there are none; generators and the nearest collected network need none. The first generator is compared with
the others; intervals are 95 % of a bootstrap over operations, seeds and the five strengths averaged first.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from generator_report import interval
from generator_ways import CROPS, SIZE, Ground

from weightgen.diffusion.baselines import features, nearest
from weightgen.diffusion.captions import captions
from weightgen.diffusion.concepts import Clause, Concept
from weightgen.diffusion.condition import condition
from weightgen.diffusion.domain import BETWEEN, TRAINED, name_of
from weightgen.diffusion.examples import Edited
from weightgen.diffusion.from_recipe import open_networks
from weightgen.diffusion.loading import load_generator
from weightgen.diffusion.prompt import parse
from weightgen.diffusion.quality import psnr
from weightgen.diffusion.text import load_encoder
from weightgen.models.translator import translate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("zoo", type=Path)
    parser.add_argument("generators", nargs="+", help="NAME=DIRECTORY,...")
    words = parser.parse_args()
    torch.set_num_threads(1)
    encoder = load_encoder()
    ground = Ground.of(open_networks(words.zoo), encoder)
    found: dict[str, np.ndarray] = {}
    for name, directories in (text.split("=", 1) for text in words.generators):
        seeds = []
        for directory in directories.split(","):
            pipeline = load_generator(Path(directory))
            pipeline.use_encoder(encoder)
            seeds.append([scores(ground, c, pipeline(texts(c)).state_dicts) for c in every()])
        found[name] = np.mean(seeds, 0)
    parsed = [[parse(text) for text in texts(c)] for c in every()]
    prompts = [features(condition(p, encoder.embed([q.text for prompt in p for q in prompt]))) for p in parsed]
    near = [ground.networks.base.assemble(nearest(ground.zoo, p)) for p in prompts]
    tensors = [[{n: t[i] for n, t in stack.items()} for i in range(len(BETWEEN))] for stack in near]
    found["nearest"] = np.array([scores(ground, c, t) for c, t in zip(every(), tensors, strict=True)])
    ours, *others = found
    print(f"{ours}: {found[ours].mean():.1f} dB")
    for name in others:
        leads = found[ours] - found[name]
        print(f"{name}: {found[name].mean():.1f} dB, {ours} leads by {interval(leads)}, median {np.median(leads):+.1f}")
        print("   ", ", ".join(f"{o} {lead:+.1f}" for o, lead in sorted(zip(TRAINED, leads, strict=True), key=by_lead)))


def by_lead(pair: tuple[str, float]) -> float:
    """Return what operations are sorted by."""
    return pair[1]


def every() -> list[list[Concept]]:
    """Return the concepts of each operation."""
    asked = [[(Clause(name, strength),) for strength in BETWEEN] for name in TRAINED]
    return [[Concept(name_of(c), c, captions(c, 1, np.random.default_rng(0))) for c in group] for group in asked]


def texts(concepts: list[Concept]) -> list[str]:
    """Return their prompts."""
    return [c.captions[0] for c in concepts]


def scores(ground: Ground, concepts: list[Concept], networks: list[dict[str, torch.Tensor]]) -> float:
    """Return the mean PSNR of networks on test photos, each for its concept."""
    examples = Edited(ground.shown([0]).photos, concepts)
    photos = examples.test(CROPS, SIZE)
    tensors = {n: torch.stack([network[n] for network in networks]) for n in ground.networks.data.layout.shapes}
    assert ground.networks.data.config is not None
    with torch.no_grad():
        made = translate(ground.networks.data.config, tensors, photos["images"], photos["positions"]).clamp(0, 1)
    return float(psnr(made, examples.targets(photos)).mean())


if __name__ == "__main__":
    main()
