"""Train-generator: weights dataset -> embedded prompts -> denoise and run networks -> publish."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from weightgen.console import SILENT, Reporter, shell_word
from weightgen.diffusion.asking import phrases_of
from weightgen.diffusion.from_recipe import as_generator, make_generator, open_networks
from weightgen.diffusion.generator_card import generator_card
from weightgen.diffusion.learning import GeneratorTask
from weightgen.diffusion.phrases import PhraseBook
from weightgen.diffusion.pipeline import WeightGenerationPipeline
from weightgen.diffusion.text import MINILM, load_encoder
from weightgen.jobs.made import Made
from weightgen.models.names import local_path
from weightgen.publishing.publication import check_out, publication
from weightgen.recipe import TrainGeneratorRecipe
from weightgen.training.accelerator import is_main_process
from weightgen.training.loop import train
from weightgen.training.settings import marks_of, settings_of
from weightgen.training.threads import use_threads
from weightgen.training.working import working_beside


@dataclass(frozen=True)
class TrainedGenerator:
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


def train_generator(
    recipe: TrainGeneratorRecipe, out: Path, *, force: bool = False, reporter: Reporter = SILENT
) -> Made[TrainedGenerator]:
    """Train a generator and publish it. States lie in `OUT.training` until then, and are found there on a second call.

    Raises UsageError, InputError (a broken dataset), CheckError where the loss is not finite, Interrupted.
    """
    check_out(out, force, [local_path(recipe.data), local_path(recipe.encoder)])
    use_threads(recipe.threads)
    networks = open_networks(Path(recipe.data).expanduser(), recipe.limit, recipe.examples)
    encoder = load_encoder(recipe.encoder or MINILM)
    phrases = phrases_of([networks.data.concepts[i] for found in networks.which.values() for i in found])
    book = PhraseBook.of(phrases, recipe.encoder or MINILM, encoder.embed(phrases))
    generator, task = make_generator(recipe, networks, book)
    marks = marks_of(recipe.steps)
    settings = settings_of(recipe, recipe.lr, marks)
    concepts = len(networks.which["train"])
    with reporter.progress("training") as progress, working_beside(out) as work:
        if recipe.first and isinstance(task, GeneratorTask):
            alone = replace(settings, steps=recipe.first, marks=())
            began = train(generator, task.denoising_alone(), alone, work / "first", progress=progress)
            generator = as_generator(began.model)
        trained = train(generator, task, settings, work / "states", progress=progress, tracker=recipe.tracker)
        scores = task.metric.of(trained.curve)
        value = float(scores[-1])
        if is_main_process():
            found = as_generator(trained.model.cpu())
            items = trained.curve.shape[1]
            evidence = {"metric": task.metric.name, "split": "validation", "items": items, "value": value}
            with publication(out, recipe, "diffusers", force=force) as published:
                pipeline = WeightGenerationPipeline(found.denoiser, found.scheduler, found.base, book, snap=recipe.snap)
                pipeline.save_pretrained(published.path)
                published.card = generator_card(recipe, networks.data, concepts, evidence, out.name)
                published.fields = {
                    "seed": recipe.seed,
                    "threads": torch.get_num_threads(),
                    "evidence": evidence,
                    "curve": {str(step): round(float(v), 4) for step, v in zip(marks, scores, strict=True)},
                    "concepts": concepts,
                    "base": found.base.sha256,
                    "layout_sha256": networks.data.layout.sha256,
                    "seconds": round(trained.seconds, 1),
                }
    parameters = sum(p.numel() for p in generator.denoiser.parameters())
    made = TrainedGenerator(out, task.metric.name, value, concepts, parameters, trained.seconds)
    data = {
        "directory": str(out),
        made.metric: made.value,
        "concepts": made.concepts,
        "parameters": made.parameters,
        "seconds": round(made.seconds, 1),
    }
    text = (
        f"wrote {shell_word(out)}/: {made.metric} {made.value:.2f} in one step on concepts that were not learned\n"
        f"from; {made.parameters:,} parameters, {made.concepts} concepts ({made.seconds:.0f} s)\n"
        f'generate: weightgen generate "sepia tone" --generator {shell_word(out)} --out START\n'
        f"check:    weightgen verify {shell_word(out)}"
    )
    return Made(out, data, text, made)
