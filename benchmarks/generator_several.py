"""Does a second network of each concept help a generator that denoises?

    python benchmarks/generator_several.py zoo --concepts 96

The first concepts of training are taught a second time from the same base, with crops in another order and without
averaging or a falling rate. Then three generators are trained to denoise: on the collected networks, on the second
ones, and on both, for the same number of steps. Quality is that of watched concepts in one and in 20 steps, as
benchmarks/generator_sampling.py has it.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import torch
from generator_sampling import qualities
from generator_ways import Ground, tuned, zero

from weightgen.diffusion.asking import phrases_of
from weightgen.diffusion.learning import DenoisingTask
from weightgen.diffusion.phrases import PhraseBook
from weightgen.diffusion.pipeline import WeightGenerationPipeline
from weightgen.diffusion.text import MINILM, load_encoder
from weightgen.preparation import settings_of
from weightgen.recipe import TrainGeneratorRecipe
from weightgen.train_generator import as_generator, make_generator, open_networks
from weightgen.training import train


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("zoo", type=Path)
    parser.add_argument("--concepts", type=int, default=96)
    parser.add_argument("--steps", type=int, default=3000)
    words = parser.parse_args()
    torch.set_num_threads(1)
    encoder = load_encoder()
    ground = Ground.of(open_networks(words.zoo, words.concepts), encoder)
    networks, data = ground.networks, ground.networks.data
    learned = networks.which["train"]
    start = zero(ground).expand(len(learned), -1, -1)
    again = []
    for begin in range(0, len(learned), 16):
        some = slice(begin, begin + 16)
        again.append(tuned(ground, ground.shown(learned[some]), start[some], 200, 4e-3, 1))
    twins = torch.cat(again)
    print(f"distance of a concept's two networks {distance(twins, ground.differences[learned]):.2f}", end=", ")
    print(f"of the second from the base {distance(twins, start):.2f}", flush=True)
    phrases = phrases_of([data.concepts[i] for found in networks.which.values() for i in found])
    book = PhraseBook.of(phrases, MINILM, encoder.embed(phrases))
    recipe = TrainGeneratorRecipe(
        data=str(words.zoo), width=192, steps=words.steps, batch_size=16, lr=1e-3, empty=0.05, running=0, threads=1
    )
    for name in ("collected", "second", "both"):
        generator, task = make_generator(recipe, networks, book)
        own, seconds = task.clean["train"], generator.denoiser.normalise(twins)
        clean = {"collected": [own], "second": [seconds], "both": [own, seconds]}[name]
        concepts = {**task.concepts, "train": [*task.concepts["train"]] * len(clean)}
        both = {**task.clean, "train": torch.cat(clean)}
        task = DenoisingTask(concepts, both, data.layout, task.embeddings, task.scheduler, recipe.empty)
        with tempfile.TemporaryDirectory() as work:
            found = as_generator(train(generator, task, settings_of(recipe, recipe.lr, ()), Path(work)).model)
        pipeline = WeightGenerationPipeline(found.denoiser, found.scheduler, found.base, book)
        pipeline.use_encoder(encoder)
        cells = [qualities(ground, pipeline, steps, 1.0) for steps in (1, 20)]
        print(name, ", ".join(f"{mean:.2f} (best of 4 {best:.2f})" for mean, best in cells), flush=True)


def distance(some: torch.Tensor, others: torch.Tensor) -> float:
    """Return the mean distance of networks, pair by pair."""
    return float((some - others).flatten(1).norm(dim=1).mean())


if __name__ == "__main__":
    main()
