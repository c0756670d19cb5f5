"""From a weights dataset to a published generator: embed prompts -> denoise and run networks -> publish."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from weightgen.checkpoint import check_target, hold, publish
from weightgen.collect_jobs import examples_of
from weightgen.diffusion.asking import Asking, phrases_of
from weightgen.diffusion.base import BaseNetwork
from weightgen.diffusion.blocks import Statistics
from weightgen.diffusion.denoiser import Denoiser
from weightgen.diffusion.examples import Examples
from weightgen.diffusion.generator import Generator
from weightgen.diffusion.generator_card import generator_card
from weightgen.diffusion.learning import DenoisingTask, GeneratorTask
from weightgen.diffusion.phrases import PhraseBook
from weightgen.diffusion.pipeline import DENOISERS, WeightGenerationPipeline
from weightgen.diffusion.schedules import make_scheduler
from weightgen.diffusion.text import MINILM, load_encoder
from weightgen.diffusion.weights_dataset import WeightsDataset, load_weights
from weightgen.errors import InputError, UsageError, printable
from weightgen.interruption import Interrupted
from weightgen.preparation import set_threads, settings_of, versions
from weightgen.recipe import CollectRecipe, TrainGeneratorRecipe, load_recipe
from weightgen.tasks.task import Split
from weightgen.training import Progress, end, is_main_process, train

MARKS = 10
WATCHED = 16  # every so many concepts one is not learned from, but watched


@dataclass(frozen=True)
class Made:
    """What was published."""

    directory: Path
    metric: str
    value: float
    """Mean over the concepts that were watched, of networks generated in one step."""
    concepts: int
    """Learned from."""
    parameters: int
    """Of the denoiser."""
    seconds: float


@dataclass(frozen=True)
class Networks:
    """A weights dataset as a generator learns it."""

    data: WeightsDataset
    base: BaseNetwork
    which: Mapping[Split, list[int]]
    """Networks to learn from (`train`) and to watch (`validation`)."""
    examples: Mapping[Split, Examples] | None
    """What shows the concepts, where the networks can be run."""


def train_generator(
    recipe: TrainGeneratorRecipe, out: Path, *, force: bool = False, progress: Progress | None = None
) -> Made:
    """Train a generator and publish it. States lie in `OUT.training` until then, and are found there on a second call.

    Raises UsageError, InputError (a broken dataset), CheckError where the loss is not finite, Interrupted.
    """
    check_target(out.resolve(), force)
    set_threads(recipe)
    networks = open_networks(Path(recipe.data).expanduser(), recipe.limit)
    encoder = load_encoder(recipe.encoder or MINILM)
    phrases = phrases_of([networks.data.concepts[i] for found in networks.which.values() for i in found])
    book = PhraseBook.of(phrases, recipe.encoder or MINILM, encoder.embed(phrases))
    generator, task = make_generator(recipe, networks, book)
    marks = tuple(sorted({round(recipe.steps * i / MARKS) for i in range(MARKS + 1)}))
    work = out.with_name(out.name + ".training")
    with hold(work):
        settings = settings_of(recipe, recipe.lr, marks)
        try:
            if recipe.first and isinstance(task, GeneratorTask):
                alone = replace(settings, steps=recipe.first, marks=())
                began = train(generator, task.denoising_alone(), alone, work / "first", progress=progress)
                generator = as_generator(began.model)
            trained = train(generator, task, settings, work / "states", progress=progress, tracker=recipe.tracker)
        except Interrupted as stop:
            raise Interrupted(f"{stop}, and saved in {work}.\nThe same command goes on from there.") from stop
        value = float(task.metric.of(trained.curve[-1]))
        if is_main_process():
            found = as_generator(trained.model.cpu())
            own = recipe.model_copy(update={"out": None})
            evidence = {
                "metric": task.metric.name,
                "split": "validation",
                "items": trained.curve.shape[1],
                "value": value,
            }
            curve = {
                str(step): round(float(v), 4) for step, v in zip(marks, task.metric.of(trained.curve), strict=True)
            }
            with publish(out, force) as staged:
                pipeline = WeightGenerationPipeline(found.denoiser, found.scheduler, found.base, book, snap=recipe.snap)
                pipeline.save_pretrained(staged.path)
                (staged.path / "recipe.yaml").write_text(own.to_yaml(), encoding="utf-8")
                card = generator_card(own, networks.data, len(networks.which["train"]), evidence, out.name)
                (staged.path / "README.md").write_text(card, encoding="utf-8")
                staged.manifest.update(
                    stage="train-generator",
                    recipe_hash=own.hash,
                    seed=recipe.seed,
                    threads=torch.get_num_threads(),
                    evidence=evidence,
                    curve=curve,
                    concepts=len(networks.which["train"]),
                    base=found.base.sha256,
                    layout_sha256=networks.data.layout.sha256,
                    seconds=round(trained.seconds, 1),
                    versions=versions("diffusers"),
                )
            shutil.rmtree(work, ignore_errors=True)
    end()
    parameters = sum(p.numel() for p in generator.denoiser.parameters())
    return Made(out, task.metric.name, value, len(networks.which["train"]), parameters, trained.seconds)


def open_networks(directory: Path, limit: int | None = None) -> Networks:
    """Read a weights dataset and what shows its concepts; raises as `load_weights` and `examples_of` do.

    `limit`: concepts to learn from; those that are watched are the same with any.
    """
    data = load_weights(directory)
    trained = data.of("train")
    which: dict[Split, list[int]] = {"validation": trained[WATCHED - 1 :: WATCHED] or trained[-1:]}
    which["train"] = [i for i in trained if i not in which["validation"]][:limit]
    if not which["train"]:
        raise InputError(f"{printable(str(directory))}: expected at least two networks to learn from")
    architecture = data.config.model_dump(mode="json") if data.config is not None else {}
    base = BaseNetwork.of(data.base, data.layout, architecture, data.frozen)
    if data.config is None:
        return Networks(data, base, which, None)
    recipe = load_recipe(directory / "recipe.yaml")
    assert isinstance(recipe, CollectRecipe)
    shown = examples_of(recipe)
    places = {concept.name: i for i, concept in enumerate(shown.concepts)}
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
