"""What a train-generator recipe asks for: the networks to learn from, the generator, and the task that it learns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from weightgen.diffusion.asking import Asking
from weightgen.diffusion.base import BaseNetwork
from weightgen.diffusion.block_statistics import Statistics
from weightgen.diffusion.denoiser import Denoiser
from weightgen.diffusion.examples import Examples
from weightgen.diffusion.generator import Generator
from weightgen.diffusion.learning import DenoisingTask, GeneratorTask
from weightgen.diffusion.phrases import PhraseBook
from weightgen.diffusion.pipeline import DENOISERS
from weightgen.diffusion.schedules import make_scheduler
from weightgen.diffusion.shown import find_shown
from weightgen.diffusion.weights_dataset import WeightsDataset, load_weights
from weightgen.errors import InputError, UsageError, printable
from weightgen.publishing.manifest import read_manifest
from weightgen.recipe.collecting import CollectRecipe
from weightgen.recipe.generator import TrainGeneratorRecipe
from weightgen.recipe.reading import read_recipe
from weightgen.training.task import Split

WATCHED = 16  # every so many concepts one is not learned from, but watched


@dataclass(frozen=True)
class Networks:
    """A weights dataset as a generator learns it."""

    data: WeightsDataset
    base: BaseNetwork
    which: Mapping[Split, list[int]]
    """Networks to learn from (`train`) and to watch (`validation`)."""
    examples: Mapping[Split, Examples] | None
    """What shows the concepts, where the networks can be run."""


def open_networks(directory: Path, limit: int | None = None, place: str | None = None) -> Networks:
    """Read a weights dataset and what shows its concepts; raises as `load_weights` and `find_shown` do.

    `limit`: concepts to learn from; those that are watched are the same with any. `place`: where the concepts or photos
    lie now.
    """
    data = load_weights(directory)
    trained = data.of("train")
    which: dict[Split, list[int]] = {"validation": trained[WATCHED - 1 :: WATCHED] or trained[-1:]}
    which["train"] = [i for i in trained if i not in which["validation"]][:limit]
    if not which["train"]:
        raise InputError(f"{printable(str(directory))}: expected at least two networks to learn from")
    told = data.config or data.form
    architecture = told.model_dump(mode="json") if told is not None else {}
    base = BaseNetwork.of(data.base, data.layout, architecture, data.frozen)
    if data.config is None:
        return Networks(data, base, which, None)
    collected = read_recipe(directory / "recipe.yaml", CollectRecipe)
    shown = find_shown(directory, collected, read_manifest(directory).get("examples"), place)
    places = {concept.name: i for i, concept in enumerate(shown.concepts)}
    alone = next((c.name for c in data.concepts if c.name not in places), None)
    if alone is not None:
        raise InputError(f"{printable(str(directory))}: nothing shows its concept '{printable(alone)}'")
    examples = {split: shown.only([places[data.concepts[i].name] for i in found]) for split, found in which.items()}
    return Networks(data, base, which, examples)


def make_generator(
    recipe: TrainGeneratorRecipe, networks: Networks, book: PhraseBook
) -> tuple[Generator, DenoisingTask]:
    """Return what is trained, and the task that it is trained on; raises UsageError where the recipe asks too much."""
    data, base = networks.data, networks.base
    torch.manual_seed(recipe.seed)
    sizes = {"width": recipe.width, "depth": recipe.depth}
    if recipe.denoiser == "subspace":
        sizes["components"] = recipe.components
    denoiser: Denoiser = DENOISERS[recipe.denoiser](data.layout.to_json(), base.sha256, book.config.width, **sizes)
    differences = {split: data.blocks[found] - data.layout.split(data.base) for split, found in networks.which.items()}
    denoiser.set_statistics(Statistics.of(data.layout, differences["train"]))
    scheduler = make_scheduler(recipe.noise, recipe.prediction)
    clean = {split: denoiser.normalise(found) for split, found in differences.items()}
    denoiser.begin(base, clean["train"])
    embeddings = dict(zip(book.phrases, book.embeddings, strict=True))
    if not recipe.running:
        concepts = {split: [data.concepts[i] for i in found] for split, found in networks.which.items()}
        task = DenoisingTask(concepts, clean, data.layout, embeddings, scheduler, recipe.empty)
        return Generator(denoiser, base, scheduler), task
    learned = [data.concepts[i] for i in networks.which["train"]]
    asking = Asking.of(learned, [c for c in data.concepts if c not in learned], recipe.fresh, recipe.mixed)
    if networks.examples is None:
        raise UsageError("these networks cannot be run here, only denoised: add --running 0")
    return Generator(denoiser, base, scheduler, data.config), GeneratorTask(
        networks.examples,
        clean,
        data.layout,
        embeddings,
        scheduler,
        recipe.empty,
        crops=recipe.crops,
        size=recipe.crop,
        denoising=recipe.denoising,
        running=recipe.running,
        asking=asking,
    )


def as_generator(trained: torch.nn.Module) -> Generator:
    """Return what a loop trained as what was given to it."""
    assert isinstance(trained, Generator)
    return trained
