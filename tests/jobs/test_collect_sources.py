"""What networks are made from: a user's own concepts, a user's photos, checkpoints that exist; and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from tests.conftest import Command
from weightgen.diffusion.folders import load_concepts
from weightgen.diffusion.photos import photos_in
from weightgen.diffusion.weights_dataset import load_weights
from weightgen.errors import InputError, UsageError

SIZES = ("--width", "4", "--layers", "2", "--steps", "2", "--base-steps", "2", "--batch-size", "2", "--crop", "8")
TINY = (*SIZES, "--block-size", "16", "--threads", "1", "--workers", "1", "--out", "weights")


def draw(file: Path, seed: int, size: tuple[int, int] = (20, 16)) -> None:
    """Write a picture of `size`, width and height."""
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file)


@pytest.fixture
def concepts(tmp_path: Path) -> Path:
    """Two concepts of five pairs each; the second one's images are their own negatives."""
    for name in ("noise", "negated"):
        for i in range(5):
            before = tmp_path / "concepts" / name / "before" / f"{i}.png"
            after = before.parents[1] / "after" / f"{i}.png"
            draw(before, i)
            draw(after, 100 + i)
            if name == "negated":
                Image.fromarray(255 - np.array(Image.open(before))).save(after)
        (tmp_path / "concepts" / name / "prompt.txt").write_text(f"{name}\n\n a {name} photo \n{name}\n")
    return tmp_path / "concepts"


def test_pairs_are_cut_alike_and_some_are_held_out(concepts: Path) -> None:
    examples = load_concepts(concepts)
    assert [c.name for c in examples.concepts] == ["negated", "noise"]
    assert examples.concepts[1].captions == ("noise", "a noise photo")
    assert examples.concepts[1].clauses == ()
    batch = examples.draw(range(30), 8)
    targets = examples.targets(batch)
    assert targets.shape == batch["images"].shape == (2, 30, 3, 8, 8)
    assert torch.allclose(targets[0], 1 - batch["images"][0], atol=1e-6)
    assert torch.equal(batch["images"][0], batch["images"][1]), "both concepts have the same photos in the same order"
    trained = {tuple(crop.flatten().tolist()) for crop in _crops(examples.pairs[0][3].before)}
    assert not any(tuple(image.flatten().tolist()) in trained for image in batch["images"][0])
    held_out = examples.test(6, 8)["images"][0]
    assert all(tuple(image.flatten().tolist()) in trained for image in held_out)
    assert examples.test(2, 64)["images"].shape[-1] == 16  # as large as the smallest photo


def _crops(photo: Tensor) -> list[Tensor]:
    height, width = photo.shape[1:]
    return [photo[:, y : y + 8, x : x + 8] for y in range(height - 7) for x in range(width - 7)]


def test_own_concepts_are_collected(command: Command, concepts: Path, tmp_path: Path) -> None:
    outcome = command("collect", "--concepts", concepts, *TINY, "--licence", "mine")
    assert outcome.code == 0, outcome.err
    found = load_weights(tmp_path / "weights")
    assert [(c.name, c.split) for c in found.concepts] == [("negated", "train"), ("noise", "train")]
    assert found.models[0]["licence"] == "mine"
    assert "- your photos: mine" in (tmp_path / "weights" / "README.md").read_text()


def test_concepts_that_are_incomplete(command: Command, concepts: Path, tmp_path: Path) -> None:
    words = ("collect", *TINY, "--concepts", concepts)
    noise = concepts / "noise"
    (noise / "after" / "3.png").rename(tmp_path / "3.png")
    command(*words).refused(3, "noise: before/3 has no partner of that name in after/")
    draw(noise / "after" / "3.png", 7, (20, 15))
    command(*words).refused(3, "before/3.png and", "20 x 16 and 20 x 15 pixels", "the same at the same place")
    (noise / "after" / "3.png").write_bytes(b"no image")
    command(*words).refused(3, "after/3.png: is no image that can be read")
    (tmp_path / "3.png").rename(noise / "after" / "3.png")
    (noise / "prompt.txt").write_text(" \n\n")
    command(*words).refused(3, "noise/prompt.txt: expected a caption on each line, found none")
    (noise / "prompt.txt").write_bytes(b"\xff\xfe\x00")
    command(*words).refused(3, "noise/prompt.txt: expected UTF-8 text")
    (noise / "prompt.txt").unlink()
    command(*words).refused(3, "noise/prompt.txt: No such file")
    (noise / "prompt.txt").write_text("noise")
    draw(noise / "before" / "4.png", 7, (9, 7))
    draw(noise / "after" / "4.png", 8, (9, 7))
    command(*words).refused(3, "noise/4: 9 x 7 pixels, expected at least 8 x 8")
    (noise / "after").rename(noise / "later")
    command(*words).refused(2, "noise: no folder 'after' here")
    command("collect", *TINY, "--concepts", "nowhere").refused(2, "nowhere: no such directory of concepts")
    (tmp_path / "empty").mkdir()
    command("collect", *TINY, "--concepts", "empty").refused(3, "empty: expected concepts as NAME/before")


def test_own_photos(tmp_path: Path) -> None:
    for i in range(5):
        draw(tmp_path / "photos" / f"{i}.png", i, (700, 70))
    found = photos_in(tmp_path / "photos")
    assert [p.name for p in found.train] == ["0", "1", "2", "4"]
    assert [p.name for p in found.test] == ["3"]
    assert found.test[0].image.shape == (3, 64, 640)  # reduced
    draw(tmp_path / "photos" / "train" / "a.png", 1)
    draw(tmp_path / "photos" / "test" / "b.png", 2)
    found = photos_in(tmp_path / "photos")
    assert ([p.name for p in found.train], [p.name for p in found.test]) == (["a"], ["b"])
    draw(tmp_path / "one" / "a.png", 1)
    with pytest.raises(InputError, match="one: expected at least two photos, found 1"):
        photos_in(tmp_path / "one")
    with pytest.raises(UsageError, match="nowhere: no such directory of photos"):
        photos_in(tmp_path / "nowhere")


def adapters(seed: int) -> dict[str, Tensor]:
    """Tensors as peft writes them."""
    generator = torch.Generator().manual_seed(seed)
    stem = "base_model.model.layers.0.q_proj"
    return {
        f"{stem}.lora_A.weight": torch.randn(2, 6, generator=generator),
        f"{stem}.lora_B.weight": torch.randn(5, 2, generator=generator).half().float(),
    }


@pytest.fixture
def checkpoints(tmp_path: Path) -> Path:
    """A folder of adapters, in both forms that are understood, captions in both places."""
    folder = tmp_path / "adapters"
    (folder / "pirate").mkdir(parents=True)
    save_file(adapters(0), folder / "pirate" / "adapter_model.safetensors")
    (folder / "pirate" / "prompt.txt").write_text("talks like a pirate\npirate speech")
    save_file(adapters(1), folder / "formal.safetensors")
    (folder / "formal.txt").write_text("formal letters")
    save_file(
        {n: t.half() if n.endswith("B.weight") else t for n, t in adapters(2).items()}, folder / "brief.safetensors"
    )
    (folder / "captions.json").write_text(json.dumps({"brief": "short answers"}))
    return folder


def test_a_folder_of_adapters_becomes_a_dataset(command: Command, checkpoints: Path, tmp_path: Path) -> None:
    outcome = command("collect", "--from-checkpoints", checkpoints, *TINY)
    assert outcome.code == 0, outcome.err
    assert "3 networks of 2 blocks (3 train)" in outcome.out
    found = load_weights(tmp_path / "weights")
    said = {c.name: c.captions for c in found.concepts}
    assert said == {
        "brief": ("short answers",),
        "formal": ("formal letters",),
        "pirate": ("talks like a pirate", "pirate speech"),
    }
    for i, seed in enumerate((2, 1, 0)):
        assert all(torch.equal(t, adapters(seed)[n]) for n, t in found.tensors(i).items())
    assert not any(t.any() for t in found.base.values())
    assert (found.config, found.frozen) == (None, None)
    assert found.models[0]["psnr"] is None
    assert [layer.kind for layer in found.layout.layers] == ["linear", "linear"]
    again = command("run", "weights/recipe.yaml", "--out", "again")
    assert again.code == 0, again.err
    assert torch.equal(load_weights(tmp_path / "again").blocks, found.blocks)


def test_checkpoints_that_do_not_belong_together(command: Command, checkpoints: Path, tmp_path: Path) -> None:
    words = ("collect", "--from-checkpoints", checkpoints, *TINY)
    odd = checkpoints / "odd.safetensors"
    (checkpoints / "odd.txt").write_text("odd")
    name = next(iter(adapters(0)))
    save_file({**adapters(3), name: torch.zeros(4, 6)}, odd)
    same = f"'{name}' is [4, 6], in brief.safetensors it is [2, 6]"
    command(*words).refused(3, "odd.safetensors: ", same, "holds networks of one architecture")
    save_file({name: torch.zeros(2, 6)}, odd)
    command(*words).refused(3, "lora_B.weight' is missing, in brief.safetensors it is [5, 2]")
    save_file({**adapters(3), "steps": torch.tensor(5)}, odd)
    command(*words).refused(3, "odd.safetensors: 'steps' is I64, expected floating-point numbers")
    odd.write_bytes(b"PK\x03\x04 a pickle")
    command(*words).refused(3, "odd.safetensors: this is a zip archive (a PyTorch pickle?)")
    save_file(adapters(3), odd)
    (checkpoints / "odd.txt").unlink()
    command(*words).refused(3, "odd.safetensors: has no caption. Write one to odd.txt beside it, or to captions.json")
    (checkpoints / "captions.json").write_text(json.dumps({"odd": [1]}))
    command(*words).refused(3, "brief.safetensors: has no caption")
    (checkpoints / "captions.json").write_text(json.dumps({"odd": [1], "brief": "x"}))
    command(*words).refused(3, "captions.json: odd: expected a caption or a list of captions")
    (tmp_path / "empty").mkdir()
    command("collect", "--from-checkpoints", "empty", *TINY).refused(3, "expected checkpoints as NAME.safetensors")
    command("collect", "--from-checkpoints", "nowhere", *TINY).refused(2, "no such directory of checkpoints")


def test_a_checkpoint_that_is_no_number_is_skipped(command: Command, checkpoints: Path, tmp_path: Path) -> None:
    broken = {n: torch.full_like(t, torch.nan) for n, t in adapters(1).items()}
    save_file(broken, checkpoints / "formal.safetensors")
    outcome = command("collect", "--from-checkpoints", checkpoints, *TINY)
    assert outcome.code == 0, outcome.err
    assert "warning: formal: its values were not finite, and it was skipped" in outcome.err
    assert [c.name for c in load_weights(tmp_path / "weights").concepts] == ["brief", "pirate"]
