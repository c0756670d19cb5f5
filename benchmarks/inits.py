"""Which initialiser helps where, and whether any measure of a start foretells it: races, measures, then tables.

    python benchmarks/inits.py mlp vit cnn resnet     # races and measures, kept in benchmarks/inits/NAME.json
    python benchmarks/inits.py --tables               # the tables of inits.md, from what is kept

From the top of the repository. A race can be stopped and goes on where it was; its working directory is `races/inits`.
"""

from __future__ import annotations

import argparse
import gzip
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import inits_mlp  # noqa: F401  registers timm:deep_mlp
import numpy as np
from inits_tables import tables

import weightgen
from weightgen.console import Console
from weightgen.diagnostics import MEASURES
from weightgen.inits import INITIALISERS
from weightgen.jobs.diagnose import measured
from weightgen.recipe import CompareRecipe, DiagnoseRecipe, TrainRecipe, make_recipe
from weightgen.tasks.images import IDX, read_idx

HERE = Path(__file__).parent
KEPT = HERE / "inits"
WORK = Path("races") / "inits"
FASHION = Path("/usr/share/datasets/fashion-mnist")  # Debian: dataset-fashion-mnist
HELD_OUT, TRAINED, TESTED = 1000, 4000, 1000
TEACHER_HELD_OUT = 2000  # weightgen.tasks.classify.HELD_OUT
PLAIN = tuple(n for n in INITIALISERS if n not in ("default", "looks-linear", "mimetic", "fixup"))
"""Methods that apply to all four networks; `default` is what a race calls random."""
CUT = ("selection", "subcloning")
GREY = {"in_chans": 1, "num_classes": 10}
CONTROLS = ("shuffled:subcloning", "stats:subcloning")


@dataclass(frozen=True)
class Network:
    """An architecture, the methods that it is raced with, and what its starts are cut from where they are."""

    model: str
    sizes: Mapping[str, Any]
    methods: tuple[str, ...]
    race: Mapping[str, Any] = field(default_factory=dict)
    teacher: Mapping[str, Any] = field(default_factory=dict)
    """Larger sizes, of the same family; empty: nothing is cut."""


SIDE = {"image_size": 28}  # of networks that take any
RESNET = {"channels": [16, 32, 64, 128]}
VIT = {"img_size": 28, "patch_size": 7, "embed_dim": 64, "depth": 4, "num_heads": 4}
NETWORKS: dict[str, Network] = {
    "mlp": Network(
        "timm:deep_mlp",
        {"depth": 16, "width": 64},
        (*PLAIN, "looks-linear"),
        {"steps": 300, "lr": 1e-3, "lr_trials": 6},
    ),
    "cnn": Network("timm:resnet18", RESNET | {"norm_layer": "fixup"}, (*PLAIN, "fixup"), SIDE),
    "resnet": Network("timm:resnet18", RESNET, PLAIN, SIDE, {"channels": [32, 64, 128, 256]}),
    "vit": Network(
        "timm:vit_tiny_patch16_224",
        VIT,
        (*PLAIN, "mimetic"),
        teacher=VIT | {"embed_dim": 128, "depth": 6, "num_heads": 8},
    ),
}
RACE = {"task": "classify", "augment": "none", "batch_size": 32, "steps": 120, "seeds": 3, "marks": 10}
SEARCH = {"lr": 3e-3, "lr_trials": 4}
MEASURED = {"items": 32, "seed": 0, "threads": 1}


def data(fashion: Path) -> Path:
    """Return a folder of 5,000 training and 1,000 test images of Fashion-MNIST, made once.

    The images that a race of it holds out for tuning and validation are among those that a teacher's training on the
    whole of Fashion-MNIST holds out: no start has seen what it is judged by.
    """
    folder = WORK / "fashion-5000"
    folder.mkdir(parents=True, exist_ok=True)
    whole = np.random.default_rng(0).permutation(60000)  # the order of weightgen.tasks.classify
    part = np.random.default_rng(0).permutation(HELD_OUT + TRAINED)
    rows = np.empty(len(part), dtype=int)
    rows[part] = [*whole[:HELD_OUT], *whole[TEACHER_HELD_OUT : TEACHER_HELD_OUT + TRAINED]]
    for split, chosen in (("train", rows), ("test", np.arange(TESTED))):
        for name in IDX[split]:
            file = folder / f"{name}.gz"
            if not file.exists():
                values = read_idx(fashion / f"{name}.gz")[chosen]
                header = struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape)
                file.write_bytes(gzip.compress(header + values.tobytes(), mtime=0))
    return folder


def cut_starts(name: str, network: Network, fashion: Path) -> list[str]:
    """Return the starts cut from a larger network trained on the whole of Fashion-MNIST, and their controls."""
    if not network.teacher:
        return []
    teacher = WORK / f"{name}-teacher"
    if not teacher.exists():
        told = {"task": "classify", "data": str(fashion), "augment": "none", "steps": 600, "lr": 3e-3, "threads": 1}
        model = {"model": network.model, "model_args": GREY | dict(network.teacher), **side(network)}
        weightgen.run_recipe(make_recipe(TrainRecipe, told | model), teacher)
    made = []
    for method in CUT:
        directory = WORK / f"{name}-{method}"
        if not directory.exists():
            weightgen.subclone(str(teacher), "same", directory, dst_args=dict(network.sizes), method=method)
        made.append(f"{method}={directory}")
    return [*made, *(f"{c}={c.replace(':', f':{WORK / name}-')}" for c in CONTROLS)]


def side(network: Network) -> dict[str, Any]:
    """Return the size of the images where a network does not say it."""
    return {word: network.race[word] for word in SIDE if word in network.race}


def race(name: str, network: Network, folder: Path, starts: list[str], options: argparse.Namespace) -> dict[str, Any]:
    """Return what a race found of each start, by name; the library's own weights, `random`, are its baseline."""
    from weightgen.compare.race import race as compare

    model = {"model": network.model, "model_args": GREY | dict(network.sizes)}
    told = RACE | SEARCH | dict(network.race) | model | {"start": starts, "data": str(folder)}
    recipe = make_recipe(CompareRecipe, told).model_copy(update={"workers": options.workers, "threads": 1})
    with Console().progress(name) as progress:
        found = compare(recipe, WORK / name, progress)
    words = ("learning_rate", "trials", "test", "speedup", "milestones", "diverged")
    return {s["name"]: {word: s[word] for word in words} for s in found["starts"]}  # type: ignore[literal-required]


def measure(name: str, network: Network, folder: Path, starts: list[str]) -> dict[str, Any]:
    """Return what every measure found of each start, by name: its numbers, or why there are none."""
    file = WORK / f"{name}-measures.json"
    found = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    model = {"model": network.model, "model_args": GREY | dict(network.sizes), "data": str(folder), **side(network)}
    for start in starts:
        if start.partition("=")[0] in found:
            continue
        recipe = make_recipe(DiagnoseRecipe, MEASURED | model | {"start": [start], "measure": list(MEASURES)})
        made = measured(recipe).to_json()["starts"][0]
        found[made["name"]] = {k: v.get("numbers", v.get("not_measured")) for k, v in made["found"].items()}
        file.write_text(json.dumps(found), encoding="utf-8")
    return found


def run(name: str, options: argparse.Namespace) -> None:
    """Make the starts of a network, race them, measure them, and keep what was found."""
    network, folder = NETWORKS[name], data(Path(options.fashion))
    starts = ["random", *network.methods, *cut_starts(name, network, Path(options.fashion))]
    raced = race(name, network, folder, starts, options)
    keep(name, {"starts": raced})
    keep(name, {"measures": measure(name, network, folder, starts)})


def keep(name: str, found: Mapping[str, Any]) -> None:
    """Add to what is kept of a network."""
    KEPT.mkdir(exist_ok=True)
    file = KEPT / f"{name}.json"
    before = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    file.write_text(json.dumps(before | _short(found), separators=(",", ":")) + "\n", encoding="utf-8")


def _short(value: Any) -> Any:
    """Return plain values with numbers of six digits."""
    if isinstance(value, Mapping):
        return {key: _short(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_short(inner) for inner in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def main() -> None:
    """Run what is named, then print the tables of all that is kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NETWORKS))
    parser.add_argument("--fashion", default=FASHION, help="directory of Fashion-MNIST's IDX files")
    parser.add_argument("--workers", type=int, default=1, help="runs at a time")
    parser.add_argument("--tables", action="store_true", help="print the tables of what is kept")
    options = parser.parse_args()
    for name in options.names:
        if name not in NETWORKS:
            parser.error(f"{name} is none of {', '.join(NETWORKS)}")
        run(name, options)
    if options.tables or options.names:
        kept = {n: json.loads((KEPT / f"{n}.json").read_text()) for n in NETWORKS if (KEPT / f"{n}.json").exists()}
        print(tables(kept))


if __name__ == "__main__":
    main()
