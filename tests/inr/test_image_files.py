"""Files of pictures: what is read of them, what is refused, and how they are written."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.inr.test_images import images, picture
from weightgen.errors import InputError, NetworkError, UsageError
from weightgen.inr.signals import make_kind
from weightgen.inr.signals.images import Images
from weightgen.reading.images import MODES


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp", ".tiff"])
def test_of_an_animation_the_first_frame_is_taken(tmp_path: Path, suffix: str) -> None:
    still, *others = (Image.new("RGB", (6, 4), (60 * i, 0, 0)) for i in (4, 2, 1))
    still.save(tmp_path / f"moving{suffix}", save_all=True, append_images=others)
    still.save(tmp_path / f"still{suffix}")
    moving, one = images(crop=None).load(str(tmp_path))
    assert moving.remark == "has 3 frames, of which the first is taken"
    assert one.remark is None
    assert moving.data.float().mean((0, 1)).tolist() == pytest.approx([240, 0, 0], abs=4)


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    kind = images()
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(InputError, match=r"text.png: is no image that can be read"):
        kind.load(str(tmp_path))
    whole = tmp_path / "whole.png"
    picture(whole, (64, 64))
    (tmp_path / "text.png").write_bytes(whole.read_bytes()[:500])
    with pytest.raises(InputError, match=r"text.png: cannot be read"):
        kind.load(str(tmp_path))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="expected images"):
        kind.load(str(tmp_path / "empty"))
    with pytest.raises(UsageError, match="no such file"):
        kind.load(str(tmp_path / "absent"))
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    with pytest.raises(InputError, match="expected images"):
        kind.load(str(tmp_path / "a.wav"))
    (tmp_path / "b.zip").write_bytes(b"PK nothing")
    with pytest.raises(InputError, match="is no zip file"):
        kind.load(str(tmp_path / "b.zip"))


def test_an_image_too_large_to_be_meant_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    with pytest.raises(InputError, match="cannot be read"):
        images().load(str(tmp_path / "a.png"))


def test_zips_are_folders(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as packed:
        packed.write(tmp_path / "a.png", "set/a.png")
        packed.writestr("__MACOSX/set/._a.png", b"junk")
    assert [s.name for s in images().load(str(tmp_path / "set.zip"))] == ["a"]


def test_names_tell_signals_apart(tmp_path: Path) -> None:
    def names() -> list[str]:
        return [s.name for s in images().load(str(tmp_path))]

    for file in ("a/one.png", "b/two.png"):
        (tmp_path / file).parent.mkdir()
        picture(tmp_path / file)
    assert names() == ["one", "two"]
    picture(tmp_path / "b" / "one.png")  # as classes in folders have them
    assert names() == ["a/one", "b/one", "b/two"]
    picture(tmp_path / "b" / "one.bmp")
    assert names() == ["a/one.png", "b/one.bmp", "b/one.png", "b/two.png"]


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_every_suffix_on_offer_is_written(tmp_path: Path, channels: int) -> None:
    kind, expected = images(channels=channels), 255.0 if channels == 4 else 128.0  # half the light through half of it
    for suffix in kind.suffixes:
        kind.save(np.full((4, 6, channels), 0.5, np.float32), tmp_path / f"drawn{suffix}", [4, 6])
        with Image.open(tmp_path / f"drawn{suffix}") as drawn:
            found = np.asarray(drawn.convert(MODES[channels]))
        assert found.shape[:2] == (4, 6)
        assert np.abs(found[..., :1] - expected).max() < 6, suffix


def test_datasets_are_read_as_the_hub_has_them(tmp_path: Path) -> None:
    """`datasets` reads a local folder as it reads a repository."""
    for split in ("train", "test"):
        (tmp_path / "data" / split).mkdir(parents=True)
        for i in range(3):
            picture(tmp_path / "data" / split / f"{i}.png", seed=i)
    found = images(crop=None).load(f"hf:{tmp_path / 'data'}")
    assert [s.name for s in found] == ["image-0", "image-1", "image-2"]
    assert torch.equal(found[1].data, images(crop=None).load(str(tmp_path / "data" / "train" / "1.png"))[0].data)
    assert Images.conventions(f"hf:{tmp_path / 'data'}", {})["channels"] == 3
    with pytest.raises(NetworkError, match="could not reach the hub"):
        images().load("hf:nobody/nothing")


def test_pictures_inside_packages() -> None:
    (signal,) = images(crop=None).load("package:skimage/data/astronaut.png")
    assert signal.data.shape == (512, 512, 3)
    with pytest.raises(InputError, match=r"has no file or directory 'data/nobody\.png'"):
        images().load("package:skimage/data/nobody.png")


def test_conventions_are_a_closed_vocabulary() -> None:
    with pytest.raises(UsageError, match="Did you mean 'channels'"):
        make_kind("image", {"chanels": 3})
    with pytest.raises(UsageError, match="Did you mean 'image'"):
        make_kind("imag", {})
    with pytest.raises(UsageError, match="channels"):
        make_kind("image", {"channels": 2})
