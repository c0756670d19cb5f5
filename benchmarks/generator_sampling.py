"""PSNR before any training by the number of denoising steps and by guidance, of generators that can denoise.

    for kind in ddim:sample ddim:v_prediction flow:sample; do
        weightgen train-generator zoo --running 0 --width 192 --steps 3000 --batch-size 16 --lr 1e-3 --empty 0.05 \\
            --noise ${kind%:*} --prediction ${kind#*:} --threads 1 --out alone-${kind%:*}-${kind#*:}
    done
    python benchmarks/generator_sampling.py zoo DDIM=alone-ddim-sample v=alone-ddim-v_prediction flow=alone-flow-sample

Concepts are the watched ones, which settings are chosen on; each network is sampled from 4 noises, and judged on crops
of test photos. Beside the mean over noises stands what the best of them has, chosen by 4 pairs of training images.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from generator_ways import Ground, chosen_by_pairs

from weightgen.diffusion.from_recipe import open_networks
from weightgen.diffusion.loading import load_generator
from weightgen.diffusion.pipeline import WeightGenerationPipeline
from weightgen.diffusion.text import load_encoder

SAMPLES = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("zoo", type=Path)
    parser.add_argument("generators", nargs="+", help="NAME=DIRECTORY")
    parser.add_argument("--steps", type=int, nargs="+", default=[1, 5, 20])
    parser.add_argument("--guidance", type=float, nargs="+", default=[1, 1.5, 2.5])
    words = parser.parse_args()
    torch.set_num_threads(1)
    ground = Ground.of(open_networks(words.zoo), load_encoder())
    print("| generator | guidance | " + " | ".join(f"{s} steps: mean, best" for s in words.steps) + " |")
    print("|---|---:|" + "---:|" * len(words.steps))
    for name, directory in (text.split("=", 1) for text in words.generators):
        pipeline = load_generator(Path(directory))
        pipeline.use_encoder(ground.encoder)
        for guidance in words.guidance:
            cells = []
            for steps in words.steps:
                mean, best = qualities(ground, pipeline, steps, guidance)
                cells.append(f"{mean:.1f}, {best:.1f}")
            print(f"| {name} | {guidance:g} | " + " | ".join(cells) + " |", flush=True)


def qualities(ground: Ground, pipeline: WeightGenerationPipeline, steps: int, guidance: float) -> tuple[float, float]:
    """Return the PSNR of watched concepts' networks, the mean over samples and that of the best by pairs."""
    watched = ground.networks.which["validation"]
    prompts = [c.captions[0] for c in ground.concepts(watched)]
    made = pipeline(prompts, steps, guidance, SAMPLES, torch.Generator().manual_seed(0), snap=False).state_dicts
    weights = {n: torch.stack([d[n] for d in made]) for n in ground.networks.data.layout.shapes}
    every = ground.networks.base.differences(weights).unflatten(0, (len(prompts), SAMPLES))
    mean = sum(float(ground.score(watched, every[:, k]).mean()) for k in range(SAMPLES)) / SAMPLES
    return mean, float(ground.score(watched, chosen_by_pairs(ground, watched, every)).mean())


if __name__ == "__main__":
    main()
