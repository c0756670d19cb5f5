"""Weights datasets that are collected from a user's own pictures in a moment, and copies of them that lie."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from weightgen.jobs.collect import collect
from weightgen.publishing.manifest import find_problems, write_manifest
from weightgen.recipe import CollectRecipe, make_recipe

SIZES = {"width": 4, "layers": 2, "steps": 1, "base_steps": 0, "batch_size": 2, "crop": 8, "block_size": 16}
ALONE = {"threads": 1, "workers": 1}
TRAIN = ("--steps", "1", "--first", "1", "--components", "2", "--width", "8", "--depth", "1", "--batch-size", "2")
TRAIN += ("--crops", "1", "--crop", "8", "--threads", "1")


def draw(file: Path, seed: int) -> None:
    """Write a picture of noise."""
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (12, 12, 3), dtype=np.uint8)).save(file)


def draw_concepts(folder: Path) -> Path:
    """Write three concepts of two pairs each."""
    for i, (name, caption) in enumerate((("a", "sepia tone"), ("b", "soft blur"), ("c", "pencil sketch"))):
        for j in range(2):
            draw(folder / name / "before" / f"{j}.png", j)
            draw(folder / name / "after" / f"{j}.png", 10 * i + j)
        (folder / name / "prompt.txt").write_text(caption)
    return folder


def collected(place: Path, out: str = "weights", **source: Any) -> Path:
    """Collect with `place` as the current directory, so that paths in the recipe are seen from there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        collect(make_recipe(CollectRecipe, {**SIZES, **ALONE, **source}), Path(out))
    return place / out


def copied(directory: Path, place: Path) -> Path:
    """Copy a dataset, free to be broken."""
    return Path(shutil.copytree(directory, place))


def republish(directory: Path, **changes: Any) -> None:
    """Write a manifest that says that all is well, with other fields; None takes one away."""
    manifest = json.loads((directory / "manifest.json").read_text()) | changes
    (directory / "manifest.json").unlink()
    known = ("schema", "created_by", "files")
    write_manifest(directory, {k: v for k, v in manifest.items() if k not in known and v is not None})
    assert not find_problems(directory)
