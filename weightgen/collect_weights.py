"""From a collect recipe to a published weights dataset."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from weightgen.checkpoint import check_target, hold, publish, write_file
from weightgen.collect_jobs import examples_of
from weightgen.collect_sources import Source, read_existing, train_all
from weightgen.diffusion.checkpoints import is_finite
from weightgen.diffusion.weights_card import weights_card
from weightgen.diffusion.weights_dataset import write_weights
from weightgen.diffusion.weights_table import Network
from weightgen.errors import UsageError, printable
from weightgen.interruption import Interrupted
from weightgen.preparation import versions
from weightgen.recipe import CollectRecipe, load_recipe
from weightgen.settings import differences
from weightgen.training import Progress, end, is_main_process

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


def collect(recipe: CollectRecipe, out: Path, *, force: bool = False, progress: Progress | None = None) -> Collected:
    """Collect networks and publish them; trainings lie in `OUT.collecting` until then, where the same call goes on.

    Raises UsageError (options that do not fit together, trainings of another recipe), InputError (broken files, a
    killed worker, a full disk), CheckError (no network is finite), Interrupted.
    """
    check_target(out.resolve(), force)
    recipe = recipe.model_copy(update={"out": None, "threads": recipe.threads or 1})
    if recipe.from_checkpoints is not None:
        if recipe.concepts is not None or recipe.photos is not None:
            raise UsageError("--from-checkpoints trains nothing: leave out --concepts and --photos")
        return _publish(recipe, out, force, read_existing(recipe, Path(recipe.from_checkpoints).expanduser()))
    if recipe.concepts is not None and recipe.photos is not None:
        raise UsageError("--concepts brings its own photos: leave out --photos")
    examples_of(recipe)  # which says what is wrong with the photos before anything is written
    work = out.with_name(out.name + ".collecting")
    _refuse_other(recipe, work)
    with hold(work):
        if is_main_process():
            write_file(work / SAVED, recipe.to_yaml().encode())
        try:
            source = train_all(recipe, work, progress or (lambda done, total, words: None))
        except Interrupted as stop:
            raise Interrupted(
                f"stopped, and saved in {work}.\nThe same command goes on from there; finished networks are kept."
            ) from stop
        made = _publish(recipe, out, force, source)
        if is_main_process():
            shutil.rmtree(work, ignore_errors=True)
    end()
    return made


def _publish(recipe: CollectRecipe, out: Path, force: bool, source: Source) -> Collected:
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
        with publish(out, force) as staged:
            write_weights(staged.path, layout, usable(), source.base, source.config, source.frozen)
            card = weights_card(out.name, source.told, layout, written, skipped, source.licences, recipe.to_yaml())
            (staged.path / "README.md").write_text(card, encoding="utf-8")
            (staged.path / SAVED).write_text(recipe.to_yaml(), encoding="utf-8")
            staged.manifest.update(
                stage="collect",
                recipe_hash=recipe.hash,
                seed=recipe.seed,
                layout_sha256=layout.sha256,
                networks=len(written),
                skipped=skipped,
                seconds=round(source.seconds, 1),
                versions=versions("safetensors"),
            )
    splits = Counter(network.concept.split for network in written)
    return Collected(
        out, {str(split): count for split, count in splits.items()}, tuple(skipped), len(layout), source.seconds
    )


def _refuse_other(recipe: CollectRecipe, work: Path) -> None:
    """Refuse to go on with what another recipe began."""
    if not (work / SAVED).is_file():
        return
    saved = load_recipe(work / SAVED)
    if saved.hash != recipe.hash:
        changed = differences(saved.model_dump(mode="json"), recipe.model_dump(mode="json"))
        raise UsageError(
            f"{printable(str(work))}: was begun with another recipe: {printable('; '.join(changed), 200)}.\n"
            "Repeat its command line to go on with it, remove it, or choose another --out."
        )
