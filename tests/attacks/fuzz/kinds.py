"""The kinds of cases: a command in a tiny form, what it reads, and what of that is changed."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

WORDS = "words"
"""In place of a pattern of files: what is changed is the command line itself."""
MAKE: dict[str, str] = {
    "pruned": "prune vit --score magnitude --density 0.3 --threads 1",
    "cut": "subclone --src llama --dst same --dst-args hidden_size=8,num_attention_heads=2,head_dim=4 "
    "--method minitron --calibrate text.txt --calibrate-samples 4 --save-scores scores.safetensors",
    "thin": "init --model translator --model-args width=4,layers=2 --method orthogonal",
    "start-image": "metalearn photos --kind image --signal-args crop=8",
    "start-audio": "metalearn sounds --kind audio --signal-args rate=8000,length=200",
    "start-shape": "metalearn meshes --kind shape --signal-args points=200",
    "start-ct": "metalearn grey --kind ct --signal-args size=8,rays=8,samples=8,angles=8",
    "start-views": "metalearn scenes --kind views --signal-args samples=8",
    "fits": "fit start-image photos/p0.png --steps 1 --threads 1",
    "weights": "collect --width 4 --layers 2 --steps 2 --base-steps 1 --batch-size 2 --base-batch-size 2 --crop 8 "
    "--train 4 --held-out 1 --block-size 32 --threads 1 --workers 1",
    "generator": "train-generator weights --encoder encoder --width 16 --depth 1 --components 2 --crops 1 --crop 8 "
    "--batch-size 2 --steps 2 --first 1 --threads 1",
    "race": "compare --task classify --data idx --start vit --start random --steps 2 --batch-size 4 --seeds 2 "
    "--lr-trials 1 --marks 2 --threads 1 --workers 1",
}  # fmt: skip
"""Directories that commands make of the plain inputs before anything is changed: each --out of its name."""
LEARN = " --field siren --field-args hidden=8,hidden_layers=1 --steps 1 --batch-size 1 --points 16 --tune 1 --trials 1 "
LEARN += "--budget 1 --threads 1"
for _name in ("image", "audio", "shape", "ct", "views"):
    MAKE[f"start-{_name}"] += LEARN
TRAIN = "--steps 1 --batch-size 2 --threads 1"
HALF = "--steps 3 --batch-size 2 --threads 1 --save-every 1"
"""Of a training that was stopped in the middle."""
RACE = "--seeds 1 --lr-trials 1 --marks 2 --workers 1"
CUT = "--dst same --dst-args hidden_size=8,num_attention_heads=2,head_dim=4"
GENERATE = "--steps 1 --threads 1 --encoder encoder"
LEARN_GENERATOR = MAKE["generator"].split(" ", 2)[2]


@dataclass(frozen=True)
class Kind:
    """A command that works, run in a directory that holds copies of what it reads."""

    command: str
    reads: tuple[str, ...]
    """Names of inputs."""
    changed: tuple[str, ...]
    """Patterns of the files that are changed, or `WORDS`."""
    owned: str = ""
    """An input that the command may write to."""

    @property
    def words(self) -> tuple[str, ...]:
        """The command line."""
        return tuple(shlex.split(self.command))

    @property
    def unbounded(self) -> bool:
        """Whether what is changed may ask for any amount of work."""
        return self.changed[0] == WORDS or self.changed[0].startswith("recipe-")


def _kind(command: str, *changed: str, reads: str = "", owned: str = "") -> Kind:
    """A kind that reads, of the inputs, those that its patterns begin with, and others."""
    names = [p.partition("/")[0] for p in changed]
    return Kind(command, tuple(dict.fromkeys([*names, *reads.split()])), changed, owned)


FILES: dict[str, Kind] = {
    "cut": _kind(f"subclone --src llama {CUT} --out out", "llama/*"),
    "cut-shards": _kind(f"subclone --src llama-shards {CUT} --out out", "llama-shards/model*"),
    "cut-pickle": _kind(f"subclone --src llama-bin {CUT} --allow-pickle --out out", "llama-bin/*.bin"),
    "cut-file": _kind(
        "subclone --src timm:vit_tiny_patch16_224 --src-args embed_dim=12,depth=2,num_heads=2,img_size=8,patch_size=4,"
        "num_classes=2 --src-weights vit.pth --allow-pickle --dst same --dst-args embed_dim=6 --out out", "vit.pth"
    ),
    "cut-timm": _kind("subclone --src vit --dst same --dst-args embed_dim=6,depth=1 --out out", "vit/*"),
    "cut-plan": _kind("subclone --src vit --dst vit2 --dry-run --json", "vit/*", "vit2/*"),
    "cut-vocabulary": _kind(
        "subclone --src bert --dst same --dst-args hidden_size=8 --dst-tokenizer encoder --out out",
        "encoder/token*", "bert/token*",
    ),
    "cut-images": _kind(
        "subclone --src vit --dst same --dst-args embed_dim=6 --method minitron --calibrate photos "
        "--calibrate-samples 3 --out out", "photos/*", reads="vit"
    ),
    "cut-text": _kind(
        f"subclone --src llama {CUT} --method minitron --calibrate text.txt --calibrate-samples 3 --out out",
        "text.txt", "llama/token*",
    ),
    "cut-scores": _kind(f"subclone --src llama {CUT} --method minitron --scores scores.safetensors --out out",
                        "scores.safetensors", reads="llama"),
    "cut-translator": _kind("subclone --src thin --dst same --dst-args width=2 --out out", "thin/*"),
    "init": _kind("init --model llama --method zero --out out", "llama/config.json"),
    "init-timm": _kind("init --model vit --method orthogonal --out out", "vit/config.json"),
    "average": _kind("average vit vit2 --out out", "vit/*", "vit2/*"),
    "prune": _kind("prune vit --scores vit.safetensors --density 0.5 --threads 1 --out out",
                   "vit.safetensors", "vit/*"),
    "diagnose": _kind("diagnose vit vit2 --items 2 --measure variance --threads 1 --out out", "vit/*", reads="vit2"),
    "diagnose-text": _kind("diagnose llama --data text.txt --items 2 --length 8 --measure variance --threads 1",
                           "llama/*", "text.txt"),
    "train-mask": _kind(f"train --task classify --data idx --start pruned {TRAIN} --out out", "pruned/*", reads="idx"),
    "train-idx": _kind(f"train --task classify --data idx --start vit {TRAIN} --out out", "idx/*", reads="vit"),
    "train-folder": _kind(f"train --task classify --data classes --start vit {TRAIN} --out out", "classes/*/*",
                          reads="vit"),
    "train-zip": _kind(f"train --task classify --data classes.zip --start vit {TRAIN} --out out", "classes.zip",
                       reads="vit"),
    "train-causal": _kind(f"train --task causal --data text.txt --start llama --length 8 {TRAIN} --out out",
                          "llama/*", "text.txt"),
    "train-masked": _kind(f"train --task masked --data text.txt --start bert --length 8 {TRAIN} --out out",
                          "bert/token*", "bert/config.json", reads="text.txt"),
    "train-sentences": _kind(
        f"train --task sentences --data text.txt --start random --model encoder --teacher encoder --length 8 {TRAIN} "
        "--out out", "encoder/*", reads="text.txt"),
    "train-pairs": _kind(
        f"train --task translate --data pairs --start thin --image-size 16 {TRAIN} --out out",
        "pairs/*/*", "thin/*"),
    "train-on": _kind(f"train --task classify --data idx --start vit {HALF} --out half", "half.training/**/*",
                      reads="idx vit", owned="half.training"),
    "verify": _kind("verify pruned", "pruned/*"),
    "race": _kind(f"compare --task classify --data idx --start vit --start random {TRAIN} {RACE} --out out",
                  "vit/*", "idx/*"),
    "race-again": _kind(MAKE["race"] + " --out race", "race/**/*", reads="vit idx", owned="race"),
    "race-fields": _kind(
        "compare --task fit --data photos --start start-image --start random --steps 1 --threads 1 --seeds 1 "
        "--lr-trials 1 --workers 1 --out out",
        "start-image/*", "photos/*"),
    "report": _kind("report race --out out", "race/results.json"),
    "learn-images": _kind(MAKE["start-image"] + " --out out", "photos/*"),
    "learn-zip": _kind(MAKE["start-image"].replace("photos", "photos.zip") + " --out out", "photos.zip"),
    "learn-sounds": _kind(MAKE["start-audio"] + " --out out", "sounds/*"),
    "learn-meshes": _kind(MAKE["start-shape"] + " --out out", "meshes/*"),
    "learn-slices": _kind(MAKE["start-ct"] + " --out out", "grey/*"),
    "learn-scenes": _kind(MAKE["start-views"] + " --out out", "scenes/*/*.json", "scenes/*/*/*"),
    **{
        f"fit-{kind}": _kind(f"fit start-{kind} {data} --steps 1 --threads 1 --render {drawn} --out out",
                             f"start-{kind}/*", f"start-{kind}/*", data)
        for kind, data, drawn in (
            ("image", "photos/p0.png", "drawn.png"), ("audio", "sounds/0.wav", "drawn.wav"),
            ("shape", "meshes/0.obj", "drawn.obj --render-size 8"), ("ct", "grey/p0.png", "drawn.png"),
            ("views", "scenes/0/transforms.json", "drawn"),
        )
    },
    "render": _kind("render fits --out drawn.png", "fits/*"),
    "generate": _kind(f"generate 'sepia tone' --generator generator {GENERATE} --out out", "generator/**/*",
                      reads="encoder"),
    "generate-encoder": _kind(f"generate 'sepia tone' --generator generator {GENERATE} --out out", "encoder/*",
                              reads="generator"),
    "generate-pairs": _kind(f"generate sepia --generator generator {GENERATE} --samples 2 --pairs pairs --out out",
                            "pairs/*/*", reads="generator encoder"),
    "apply": _kind("apply thin photos/p0.png --out drawn.png", "thin/*", "photos/p0.png"),
    "collect-concepts": _kind(MAKE["weights"].replace(" --train 4 --held-out 1", " --concepts concepts") + " --out out",
                              "concepts/*/*", "concepts/*/*/*"),
    "collect-photos": _kind(MAKE["weights"] + " --photos pairs/before --out out", "pairs/before/*"),
    "collect-adapters": _kind("collect --from-checkpoints adapters --block-size 8 --threads 1 --workers 1 --out out",
                              "adapters/*"),
    "learn-generator": _kind(f"{MAKE['generator']} --out out", "weights/**/*", reads="encoder"),
}  # fmt: skip
"""What is changed are files."""


RECIPES = (
    "cut", "cut-vocabulary", "init-timm", "average", "prune", "diagnose", "train-idx", "train-causal", "train-pairs",
    "race", "race-fields", "learn-images", "learn-sounds", "learn-slices", "learn-scenes", "fit-image", "generate",
    "collect-concepts", "collect-adapters", "learn-generator",
)  # fmt: skip
"""Whose commands are also carried out as recipes, which are changed."""


def recipe_file(name: str) -> str:
    """Return the file of a kind's recipe."""
    return f"recipe-{name}.yaml"


def kinds() -> dict[str, Kind]:
    """Return every kind: of files, of the words of each command, of a recipe of each stage."""
    found = dict(FILES)
    for name, kind in FILES.items():
        found[f"words {name}"] = Kind(kind.command, kind.reads, (WORDS,), kind.owned)
    for name in RECIPES:
        file = recipe_file(name)
        found[f"recipe {name}"] = Kind(f"run {file} --out out", (file, *FILES[name].reads), (file,))
    return found
