"""Collect: networks of many concepts -> a published weights dataset."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from weightgen.console import SILENT, Reporter, python_word, shell_word
from weightgen.diffusion.checkpoints import is_finite
from weightgen.diffusion.network_jobs import examples_of
from weightgen.diffusion.network_sources import Source, read_existing, train_all
from weightgen.diffusion.shown import record
from weightgen.diffusion.weights_card import weights_card
from weightgen.diffusion.weights_dataset import write_weights
from weightgen.diffusion.weights_table import Network
from weightgen.errors import UsageError, printable
from weightgen.jobs.made import Made
from weightgen.models.names import local_path
from weightgen.publishing.files import write_file
from weightgen.publishing.publication import check_out, publication
from weightgen.recipe import CollectRecipe, read_recipe
from weightgen.training.accelerator import is_main_process
from weightgen.training.settings import differences
from weightgen.training.working import working_beside

SAVED = "recipe.yaml"


@dataclass(frozen=True)
class Collected:
    """What was published."""

    directory: Path
    splits: Mapping[str, int]
    """Networks of each split."""
    skipped: tuple[str, ...]
    """Concepts whose networks are not finite."""
    blocks: int
    """Of a network."""
    seconds: float
    """Time in training steps, over all processes."""


def collect(recipe: CollectRecipe, out: Path, *, force: bool = False, reporter: Reporter = SILENT) -> Made[Collected]:
    """Collect networks and publish them; trainings lie in `OUT.collecting` until then, where the same call goes on.

    Raises UsageError (options that do not fit together, trainings of another recipe), InputError (broken files, a
    killed worker, a full disk), CheckError (no network is finite), Interrupted.
    """
    named = (recipe.from_checkpoints, recipe.concepts, recipe.photos)
    check_out(out, force, [], [local_path(text) for text in named])
    recipe = recipe.model_copy(update={"out": None, "threads": recipe.threads or 1})
    if recipe.from_checkpoints is not None:
        if recipe.concepts is not None or recipe.photos is not None:
            raise UsageError("--from-checkpoints trains nothing: leave out --concepts and --photos")
        source = read_existing(recipe, Path(recipe.from_checkpoints).expanduser())
        return _told(_published(recipe, out, force, source), reporter)
    if recipe.concepts is not None and recipe.photos is not None:
        raise UsageError("--concepts brings its own photos: leave out --photos")
    examples_of(recipe)  # which says what is wrong with the photos before anything is written
    _refuse_other(recipe, out.with_name(out.name + ".collecting"))
    kept = "; finished networks are kept"
    with reporter.progress("collecting") as progress, working_beside(out, "collecting", kept) as work:
        if is_main_process():
            write_file(work / SAVED, recipe.to_yaml().encode())
        made = _published(recipe, out, force, train_all(recipe, work, progress))
    return _told(made, reporter)


def _published(recipe: CollectRecipe, out: Path, force: bool, source: Source) -> Collected:
    written: list[Network] = []
    skipped: list[str] = []
    layout = source.layout

    def usable() -> Iterator[Network]:
        for network in source.networks:
            if is_finite(network.tensors):
                written.append(replace(network, tensors={}))  # for the card, which tells nothing of values
                yield network
            else:
                skipped.append(network.concept.name)

    if is_main_process():
        with publication(out, recipe, "safetensors", force=force) as published:
            write_weights(published.path, layout, usable(), source.base, source.config, source.frozen, source.form)
            told, licences = source.told, source.licences
            published.card = weights_card(out.name, told, layout, written, skipped, licences, recipe.to_yaml())
            published.fields = {
                "seed": recipe.seed,
                "layout_sha256": layout.sha256,
                "networks": len(written),
                **({"examples": place} if (place := record(recipe, out)) is not None else {}),
                "skipped": skipped,
                "seconds": round(source.seconds, 1),
            }
    splits = Counter(network.concept.split for network in written)
    found = {str(split): count for split, count in splits.items()}
    return Collected(out, found, tuple(skipped), len(layout), source.seconds)


def _told(made: Collected, reporter: Reporter) -> Made[Collected]:
    for name in made.skipped:
        reporter.warn(f"{printable(name)}: its values were not finite, and it was skipped")
    networks, out = sum(made.splits.values()), made.directory
    data = {
        "directory": str(out),
        "networks": networks,
        "splits": dict(made.splits),
        "skipped": list(made.skipped),
        "blocks": made.blocks,
        "seconds": round(made.seconds, 1),
    }
    splits = ", ".join(f"{count} {split}" for split, count in made.splits.items())
    trained = f"; {made.seconds:.0f} s of training" if made.seconds else ""
    text = (
        f"wrote {shell_word(out)}/: {networks} networks of {made.blocks} blocks ({splits}{trained})\n"
        f'read:   datasets.load_dataset({python_word(out)}, "blocks")\n'
        f"check:  weightgen verify {shell_word(out)}"
    )
    return Made(out, data, text, made)


def _refuse_other(recipe: CollectRecipe, work: Path) -> None:
    """Refuse to go on with what another recipe began."""
    if not (work / SAVED).is_file():
        return
    saved = read_recipe(work / SAVED, CollectRecipe)
    if saved.hash != recipe.hash:
        changed = differences(saved.model_dump(mode="json"), recipe.model_dump(mode="json"))
        raise UsageError(
            f"{printable(str(work))}: was begun with another recipe: {printable('; '.join(changed), 200)}.\n"
            "Repeat its command line to go on with it, remove it, or choose another --out."
        )
