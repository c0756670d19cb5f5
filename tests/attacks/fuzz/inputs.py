"""One small valid input of every kind that a command reads."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import shutil
import struct
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from tests.inr.balls import around, write_scene
from tests.inr.small_start import blobs
from tests.reporters import Watching
from tests.tiny_text import save_model, save_text

VIT = {"embed_dim": 12, "depth": 2, "num_heads": 2, "img_size": 8, "patch_size": 4, "in_chans": 3, "num_classes": 2}


def make_inputs(home: Path) -> None:
    """Write them into a directory."""
    pictures(home / "photos", 6)
    pictures(home / "grey", 4, mode="L")
    for name in ("a", "b"):
        pictures(home / "classes" / name, 12, first=100, side=8)
    pictures(home / "pairs" / "before", 6, side=36)
    pictures(home / "pairs" / "after", 6, side=36)
    for name in ("noise", "negated"):
        shutil.copytree(home / "pairs", home / "concepts" / name)
        (home / "concepts" / name / "prompt.txt").write_text(f"{name}\n\n a {name} photo\n")
    for form in ("jpg", "tiff", "webp", "gif", "bmp"):
        Image.fromarray(blobs(1, 8)).save(home / "photos" / f"z.{form}")
    _idx(home / "idx")
    _zip(home / "photos", home / "photos.zip")
    _zip(home / "classes", home / "classes.zip")
    _sounds(home / "sounds")
    _meshes(home / "meshes")
    for i in range(4):
        write_scene(home / "scenes" / str(i), around(4), height=6, width=6)
    save_text(home / "text.txt", 9000)
    _models(home)
    _adapters(home / "adapters")
    (home / "outside").write_text("not yours\n")
    _half_trained(home)


def pictures(folder: Path, count: int, first: int = 0, side: int = 12, mode: str = "RGB") -> None:
    """Write smooth pictures."""
    folder.mkdir(parents=True)
    for i in range(count):
        Image.fromarray(blobs(first + i, side)).convert(mode).save(folder / f"p{i}.png")


def _idx(folder: Path) -> None:
    folder.mkdir()
    draws = np.random.default_rng(0)
    for part, count in (("train", 24), ("t10k", 8)):
        pixels = struct.pack(">4I", 0x803, count, 8, 8) + draws.integers(0, 256, count * 64, dtype=np.uint8).tobytes()
        labels = struct.pack(">2I", 0x801, count) + (np.arange(count) % 2).astype(np.uint8).tobytes()
        (folder / f"{part}-images-idx3-ubyte").write_bytes(pixels)
        (folder / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels))


def _zip(folder: Path, file: Path) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*.png")):
            archive.write(path, path.relative_to(folder))


def _sounds(folder: Path) -> None:
    import soundfile

    folder.mkdir()
    for i in range(4):
        wave = np.sin(np.arange(300) * 0.05 * (i + 1)) * 0.5
        soundfile.write(folder / f"{i}.wav", wave, 8000)
    soundfile.write(folder / "4.flac", wave, 8000)


def _meshes(folder: Path) -> None:
    import trimesh

    folder.mkdir()
    for i, form in enumerate(("obj", "ply", "stl", "off", "obj")):
        mesh = trimesh.creation.icosphere(subdivisions=1, radius=1 + i / 4)
        mesh.apply_scale([1, 1 + i / 5, 1])
        mesh.export(folder / f"{i}.{form}")


def _models(home: Path) -> None:
    import timm
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    model = timm.create_model("vit_tiny_patch16_224", **VIT)
    config = {
        "architecture": "vit_tiny_patch16_224",
        "num_classes": 2,
        "model_args": VIT,
        "pretrained_cfg": {"num_classes": 2},
    }
    for name in ("vit", "vit2"):
        (home / name).mkdir()
        torch.nn.init.normal_(model.head.weight, std=0.02)
        save_file(model.state_dict(), home / name / "model.safetensors", metadata={"format": "pt"})
        (home / name / "config.json").write_text(json.dumps(config))
    save_file(model.state_dict(), home / "vit.safetensors")
    torch.save(model.state_dict(), home / "vit.pth")
    save_model(home / "llama", "LlamaForCausalLM")
    save_model(home / "bert", "BertForMaskedLM")
    save_model(home / "encoder", "BertModel")
    shutil.copytree(home / "llama", home / "llama-bin")
    from safetensors.torch import load_file

    torch.save(load_file(home / "llama" / "model.safetensors"), home / "llama-bin" / "pytorch_model.bin")
    (home / "llama-bin" / "model.safetensors").unlink()
    _shards(home / "llama", home / "llama-shards")


def _shards(source: Path, into: Path) -> None:
    from safetensors.torch import load_file, save_file

    shutil.copytree(source, into)
    tensors = load_file(into / "model.safetensors")
    (into / "model.safetensors").unlink()
    names = sorted(tensors)
    places = {n: f"model-0000{1 + i % 2}-of-00002.safetensors" for i, n in enumerate(names)}
    for shard in set(places.values()):
        save_file({n: tensors[n] for n in names if places[n] == shard}, into / shard, metadata={"format": "pt"})
    (into / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))


def _adapters(folder: Path) -> None:
    """LoRA checkpoints of one form, with captions."""
    import torch
    from safetensors.torch import save_file

    folder.mkdir()
    for i in range(4):
        generator = torch.Generator().manual_seed(i)
        tensors = {
            f"net.lora_{side}.weight": torch.randn(shape, generator=generator)
            for side, shape in (("A", (2, 6)), ("B", (6, 2)))
        }
        save_file(tensors, folder / f"{i}.safetensors", metadata={"format": "pt"})
        (folder / f"{i}.txt").write_text(f"style {i}\n")


class _Stopped(BaseException):
    """What ends a training as kill -9 does: nothing gets to clean up."""


def _half_trained(home: Path) -> None:
    """Leave a training in the middle, as the kind `train-on` goes on with it; this process ends thereafter."""
    from weightgen.jobs.train import train
    from weightgen.recipe import TrainRecipe

    def stop(done: int, total: int, words: str) -> None:
        if done == 2:
            raise _Stopped

    os.chdir(home)  # the recipe's paths are those of the command
    recipe = TrainRecipe(task="classify", data="idx", start="vit", steps=3, batch_size=2, threads=1, save_every=1)
    with contextlib.suppress(_Stopped):
        train(recipe, Path("half"), reporter=Watching(stop))
