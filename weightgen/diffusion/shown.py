"""Where the pictures lie that show a weights dataset's concepts: recorded when it is collected, found again later."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from weightgen.diffusion.examples import Examples
from weightgen.diffusion.folders import PROMPT
from weightgen.diffusion.network_jobs import examples_of
from weightgen.errors import InputError, printable
from weightgen.reading.folders import visible
from weightgen.reading.images import SUFFIXES
from weightgen.recipe import CollectRecipe


def record(recipe: CollectRecipe, out: Path) -> dict[str, str] | None:
    """Return the place of the concepts or photos, seen from the dataset, and a hash of them; None for bundled ones."""
    text = recipe.concepts or recipe.photos
    if text is None:
        return None
    place = Path(text).expanduser()
    return {"path": os.path.relpath(place.resolve(), out.resolve()), "sha256": _digest(place)}


def find_shown(directory: Path, recipe: CollectRecipe, told: Any, place: str | None) -> Examples:
    """Return what shows the concepts of the dataset in a directory, that was collected by `recipe`.

    `told`: what `record` returned. `place`: where the user says that it lies, which nothing is compared with. Raises
    InputError where it is not there, or is not what the networks were trained on.
    """
    kind = "concepts" if recipe.concepts is not None else "photos"
    recorded = recipe.concepts or recipe.photos
    if place is not None and recorded is not None:
        return examples_of(recipe.model_copy(update={kind: place}))
    if recorded is None:
        return examples_of(recipe)
    candidates = [Path(recorded).expanduser()]
    if told is not None:  # as in datasets of before it was recorded
        if not isinstance(told, Mapping) or not all(isinstance(told.get(key), str) for key in ("path", "sha256")):
            raise InputError(f"{printable(str(directory))}: expected a path and a sha256 for examples in its manifest")
        candidates.insert(0, Path(os.path.normpath(directory.resolve() / told["path"])))
    found = next((c for c in candidates if c.is_dir()), None)
    mend = f"Say where they lie: --examples DIR ({kind}, as they were collected)"
    if found is None:
        raise InputError(f"{printable(str(directory))}: its {kind} are not at {printable(str(candidates[0]))}.\n{mend}")
    if told is not None and _digest(found) != told["sha256"]:
        raise InputError(
            f"{printable(str(found))}: are not the {kind} that {printable(str(directory))} was collected from.\n{mend}"
        )
    return examples_of(recipe.model_copy(update={kind: str(found)}))


def _digest(directory: Path) -> str:
    """Return a hash of the names and contents of pictures and captions; what else lies there shows nothing."""
    whole = hashlib.sha256()
    shows = (f for f in directory.rglob("*") if f.suffix.lower() in SUFFIXES or f.name == PROMPT)
    for file in sorted(f for f in shows if visible(f, directory) and f.is_file()):
        with file.open("rb") as stream:
            content = hashlib.file_digest(stream, "sha256").hexdigest()
        whole.update(f"{os.fsencode(file.relative_to(directory)).hex()} {content}\n".encode())
    return whole.hexdigest()
