"""Tiny inputs of every kind for same_bytes.py: pictures, sounds, meshes, scenes, text, a language model, a ViT."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image


def make_inputs(home: Path) -> None:
    """Write them below a new directory; the same bytes each time."""
    home.mkdir()
    draws = np.random.default_rng(0)
    for folder, mode in (("photos", "RGB"), ("grey", "L")):
        (home / folder).mkdir()
        for name in "abcdefgh":
            _picture(draws, mode).save(home / folder / f"{name}.png")
    for folder in ("before", "after"):
        (home / "pairs" / folder).mkdir(parents=True)
        for name in "abcdefgh":
            picture = Image.open(home / "photos" / f"{name}.png")
            (picture if folder == "before" else picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)).save(
                home / "pairs" / folder / f"{name}.png"
            )
    (home / "sounds").mkdir()
    for i in range(8):
        wave = np.sin(np.arange(400) * 0.05 * (i + 1)) * 0.5
        soundfile.write(home / "sounds" / f"{i}.wav", wave, 8000)
    _meshes(home / "shapes")
    for i in range(6):
        _scene(home / "scenes" / ("test" if i == 5 else "train") / str(i), draws)
    words = list("abcdefghijklmn")
    lines = [" ".join(draws.choice(words, 12)) for _ in range(2000)]
    (home / "text.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    _models(home)


def _picture(draws: np.random.Generator, mode: str) -> Image.Image:
    low = draws.integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(low).resize((32, 32), Image.Resampling.BICUBIC).convert(mode)


def _meshes(folder: Path) -> None:
    import trimesh

    folder.mkdir()
    for i in range(6):
        mesh = trimesh.creation.icosphere(subdivisions=1, radius=1 + i / 4)
        mesh.apply_scale([1, 1 + i / 5, 1])
        mesh.export(folder / f"{i}.obj")


def _scene(folder: Path, draws: np.random.Generator) -> None:
    frames = []
    for view in range(4):
        (folder / "train").mkdir(parents=True, exist_ok=True)
        name = f"train/r_{view}"
        pixels = draws.integers(0, 256, (8, 8, 4), dtype=np.uint8)
        Image.fromarray(pixels, "RGBA" if pixels.shape[2] == 4 else None).save(folder / f"{name}.png")
        turn = view * math.pi / 2
        pose = [
            [math.cos(turn), 0, math.sin(turn), 4 * math.sin(turn)],
            [0, 1, 0, 0],
            [-math.sin(turn), 0, math.cos(turn), 4 * math.cos(turn)],
            [0, 0, 0, 1],
        ]
        frames.append({"file_path": f"./{name}", "transform_matrix": pose})
    for split in ("train", "test"):
        shown = frames if split == "train" else frames[-1:]
        text = json.dumps({"camera_angle_x": 0.8, "frames": shown})
        (folder / f"transforms_{split}.json").write_text(text)


def _models(home: Path) -> None:
    import timm
    import torch
    from safetensors.torch import save_file
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertForMaskedLM, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    torch.manual_seed(0)
    sizes = {"embed_dim": 24, "depth": 4, "num_heads": 3, "img_size": 32, "num_classes": 5}
    save_file(timm.create_model("vit_large_patch16_224", **sizes).state_dict(), home / "vit.safetensors")
    words = sorted(set((home / "text.txt").read_text().split()))
    special = {"unk_token": "[UNK]", "eos_token": "[EOS]", "mask_token": "[MASK]", "pad_token": "[PAD]"}
    vocabulary = {w: i for i, w in enumerate([*special.values(), *words])}
    shape = {"num_hidden_layers": 3, "hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 4}
    common = {**shape, "vocab_size": len(vocabulary), "max_position_embeddings": 32}
    LlamaForCausalLM(LlamaConfig(**common, num_key_value_heads=2)).save_pretrained(home / "llama")
    BertForMaskedLM(BertConfig(**common, pad_token_id=3)).save_pretrained(home / "bert")
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    for name in ("llama", "bert"):
        PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(home / name)
    translator = {"format": "weightgen-translator", "version": 1, "width": 6, "layers": 3, "position": True}
    (home / "translator").mkdir()
    (home / "translator" / "config.json").write_text(json.dumps(translator))
    shapes = {"net.0": (6, 6), "net.2": (6, 6), "net.4": (3, 6)}
    tensors = {}
    for name, (out, into) in shapes.items():
        tensors[f"{name}.weight"] = torch.randn(out, into, 3, 3) * 0.1
        tensors[f"{name}.bias"] = torch.zeros(out)
    save_file(tensors, home / "translator" / "model.safetensors", metadata={"format": "pt"})
