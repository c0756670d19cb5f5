"""Small pictures, and a start that was learned from them: what the tests of `metalearn`, `fit` and races begin with."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

COMMON = ("metalearn", "pictures", "--signal-args", "crop=12", "--points", "0", "--tune", "2", "--threads", "1")
FIELD = ("--field", "siren", "--field-args", "hidden=24,hidden_layers=2,offset=0.5")
INNER = ("--inner-rate", "0.2", "--batch-size", "3")
SEARCH = ("--trials", "3", "--budget", "1", "--budget", "4")
LEARN = (*COMMON, *FIELD, *INNER, *SEARCH, "--steps", "30")


def blobs(seed: int, size: int = 12) -> np.ndarray:
    """A smooth random picture."""
    draws = np.random.default_rng(seed)
    rows, columns = np.meshgrid(np.linspace(0, 1, size), np.linspace(0, 1, size), indexing="ij")
    found = np.zeros((size, size, 3))
    for _ in range(3):
        y, x, width = draws.random(3)
        found += draws.random(3) * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (0.02 + width / 5))[..., None]
    return (found / found.max() * 255).astype(np.uint8)


def pixels(file: Path) -> np.ndarray:
    with Image.open(file) as image:
        return np.asarray(image) / 255


def write(folder: Path, seeds: range, size: int = 12) -> None:
    folder.mkdir(parents=True)
    for seed in seeds:
        Image.fromarray(blobs(seed, size)).save(folder / f"p{seed}.png")


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with `pictures` and a `start` learned from them."""
    from weightgen.jobs.metalearn import metalearn
    from weightgen.recipe import MetalearnRecipe

    where = tmp_path_factory.mktemp("inr")
    write(where / "pictures", range(12))
    arguments = {"hidden": 24, "hidden_layers": 2, "offset": 0.5}
    recipe = MetalearnRecipe(
        data=str(where / "pictures"), field="siren", inner_rate=0.2, batch_size=3,
        field_args=arguments, signal_args={"crop": 12}, steps=30, points=0, tune=2,
        trials=3, budget=[1, 4], threads=1,
    )  # fmt: skip
    metalearn(recipe, where / "start")
    return where


@pytest.fixture
def here(made: Path, tmp_path: Path) -> Path:
    """A copy that may be broken."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path
