"""Labelled images of every kind that --data takes, and what Classify makes of them."""

from __future__ import annotations

import gzip
import zipfile
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image

from weightgen.errors import InputError, NetworkError, UsageError
from weightgen.models.libraries import LIBRARIES, build
from weightgen.models.names import resolve
from weightgen.models.pictures import input_size
from weightgen.tasks.classify import Classify
from weightgen.tasks.images import load_images, picture, read_idx


def write_idx(folder: Path, counts: dict[str, int], packed: bool = False) -> None:
    folder.mkdir()
    for name, count in counts.items():
        pixels = np.random.default_rng(count).integers(0, 256, (count, 6, 6)).astype(np.uint8)
        labels = (np.arange(count) % 3).astype(np.uint8)
        for kind, values in (("images-idx3", pixels), ("labels-idx1", labels)):
            shape = b"".join(n.to_bytes(4, "big") for n in values.shape)
            raw = bytes([0, 0, 8, values.ndim]) + shape + values.tobytes()
            file = folder / f"{name}-{kind}-ubyte{'.gz' if packed else ''}"
            file.write_bytes(gzip.compress(raw) if packed else raw)


@pytest.mark.parametrize("packed", [False, True])
def test_idx_files(tmp_path: Path, packed: bool) -> None:
    write_idx(tmp_path / "idx", {"train": 40, "t10k": 9}, packed)
    found = load_images(str(tmp_path / "idx"))
    assert (len(found.train), len(found.test), found.classes, found.channels) == (40, 9, ("0", "1", "2"), 1)
    suffix = ".gz" if packed else ""
    pixels = read_idx(tmp_path / "idx" / f"train-images-idx3-ubyte{suffix}")
    assert np.array_equal(np.asarray(picture(found.train[7]["image"], "idx")), pixels[7])
    assert found.train["label"][:4] == [0, 1, 2, 0]


def test_idx_files_as_they_are_unpacked_elsewhere(tmp_path: Path) -> None:
    write_idx(tmp_path / "idx", {"train": 12, "t10k": 9})
    for file in (tmp_path / "idx").iterdir():
        file.rename(file.with_name(file.name.replace("-idx", ".idx")))
    assert len(load_images(str(tmp_path / "idx")).train) == 12


def test_idx_files_that_do_not_belong_together(tmp_path: Path) -> None:
    write_idx(tmp_path / "idx", {"train": 12, "t10k": 9})
    (tmp_path / "idx" / "t10k-labels-idx1-ubyte").replace(tmp_path / "idx" / "train-labels-idx1-ubyte")
    with pytest.raises(InputError, match="has 12 images, train-labels-idx1-ubyte beside it 9 labels"):
        load_images(str(tmp_path / "idx"))


def test_sixteen_bits_keep_their_greys(tmp_path: Path) -> None:
    for label in "ab":
        (tmp_path / label).mkdir()
        for i in range(20):
            values = np.linspace(0, 65535, 64).reshape(8, 8).astype(np.uint16)
            Image.fromarray(values).save(tmp_path / label / f"{i}.png")
    for channels in (1, 3):
        pixels = Classify(str(tmp_path), 8, channels, "none").batch("train", [0])["images"]
        assert len(pixels.unique()) == 64


def test_replaced_idx_files_are_read_again(tmp_path: Path) -> None:
    import shutil

    write_idx(tmp_path / "idx", {"train": 40, "t10k": 9})
    assert len(load_images(str(tmp_path / "idx")).train) == 40
    shutil.rmtree(tmp_path / "idx")
    write_idx(tmp_path / "idx", {"train": 50, "t10k": 9})
    assert len(load_images(str(tmp_path / "idx")).train) == 50


def save_folder(root: Path, shape: tuple[int, ...], count: int = 12) -> None:
    for label in ("cat", "dog"):
        (root / label).mkdir(parents=True)
        for i in range(count):
            pixels = np.random.default_rng(i).integers(0, 256, shape).astype(np.uint8)
            Image.fromarray(pixels).save(root / label / f"{i}.png")


def test_an_image_folder_and_its_zip(tmp_path: Path) -> None:
    save_folder(tmp_path / "pets", (5, 7, 3))
    found = load_images(str(tmp_path / "pets"))
    assert found.classes == ("cat", "dog")
    assert found.channels == 3
    assert (len(found.train), len(found.test)) == (21, 3)
    with zipfile.ZipFile(tmp_path / "pets.zip", "w") as archive:
        for file in (tmp_path / "pets").rglob("*.png"):
            archive.write(file, file.relative_to(tmp_path / "pets"))
    zipped = load_images(str(tmp_path / "pets.zip"))
    assert zipped.classes == ("cat", "dog")
    assert len(zipped.train) + len(zipped.test) == 24


def test_names_that_are_no_images(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(InputError, match="expected a folder of images"):
        load_images(str(tmp_path / "notes.txt"))
    with pytest.raises(UsageError, match="is no such directory; a dataset of the hub is written hf:ORG/NAME"):
        load_images("mnist")
    with pytest.raises(NetworkError, match="could not reach the hub for the dataset 'hf:nobody/nothing'"):
        load_images("hf:nobody/nothing")


def test_splits_are_disjoint_and_whole() -> None:
    task = Classify("digits", 8, 1)
    images = {}
    for split, count in task.sizes.items():
        batch = task.batch(split, range(count))  # type: ignore[arg-type]
        images[split] = {i.numpy().tobytes() for i in batch["images"]}
    assert sum(task.sizes.values()) == 1797
    together = set().union(*images.values())
    assert len(together) == sum(map(len, images.values())) > 1790  # a few digits of the set are equal


def test_pixels_are_normalised_and_resized(tmp_path: Path) -> None:
    save_folder(tmp_path / "pets", (5, 7, 3))
    task = Classify(str(tmp_path / "pets"), 8, 3)
    batch = task.batch("train", range(task.sizes["train"]))
    assert batch["images"].shape == (task.sizes["train"], 3, 8, 8)
    assert abs(float(batch["images"].mean())) < 1e-3
    assert abs(float(batch["images"].std()) - 1) < 1e-3
    with pytest.raises(UsageError, match="colour images, the model takes 1 channel"):
        Classify(str(tmp_path / "pets"), 8, 1)


def test_grey_images_feed_a_colour_model() -> None:
    batch = Classify("digits", 8, 3).batch("test", [0, 1])
    assert batch["images"].shape == (2, 3, 8, 8)
    assert torch.equal(batch["images"][:, 0], batch["images"][:, 2])


@pytest.mark.parametrize("augment", ["flip", "crop", "crop-flip", "trivial"])
def test_augmentation_is_of_the_item_and_its_draw(augment: str) -> None:
    task = Classify("digits", 8, 1, augment)  # type: ignore[arg-type]
    before = torch.get_rng_state()
    one = task.batch("train", [5, 6, 7], [11, 12, 13])["images"]
    other = task.batch("train", [7, 5], [13, 11])["images"]
    assert torch.equal(one[2], other[0])
    assert torch.equal(one[0], other[1])
    assert torch.equal(torch.get_rng_state(), before), "global random numbers were used up"
    drawn = torch.stack([task.batch("train", [5], [d])["images"][0] for d in range(20)])
    assert len({d.numpy().tobytes() for d in drawn}) > 1
    assert torch.equal(task.batch("test", [5])["images"], task.batch("test", [5])["images"])


def test_the_model_says_which_images_it_takes() -> None:
    def size(name: str, wanted: int | None = None, **arguments: int) -> tuple[int, int]:
        return input_size(build(resolve(name), arguments), wanted)

    assert size("vit-tiny") == (224, 3)
    assert size("timm:vit_tiny_patch16_224", img_size=32, in_chans=1) == (32, 1)
    assert size("timm:resnet18", 40, in_chans=1) == (40, 1)
    with pytest.raises(UsageError, match="--image-size 40: vit_tiny_patch16_224 takes 224 x 224 images"):
        size("vit-tiny", 40)
    with pytest.raises(UsageError, match="takes no images"):
        size("bert-tiny")


def test_a_network_without_convolutions_says_it_in_its_configuration() -> None:
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(2 * 6 * 6, 3))
    model.pretrained_cfg = {"input_size": (2, 6, 6)}  # type: ignore[assignment]  # as a model registered with timm has it
    assert input_size(LIBRARIES["timm"].describe("plain", model)) == (6, 2)


def test_a_trained_model_tells_timm_how_to_prepare_images() -> None:
    task = Classify("digits", 8, 1)
    model = timm.create_model("resnet18", in_chans=1, num_classes=10)
    task.configure(model)
    options = timm.data.resolve_model_data_config(model)
    transform = timm.data.create_transform(**options, is_training=False)
    digit = picture(load_images("digits").test[3]["image"], "digits")
    assert torch.allclose(transform(digit), task.batch("test", [3])["images"][0], atol=1e-5)
