"""Images as signals: grids, channels, crops, and files that are no images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from weightgen.errors import InputError
from weightgen.inr.signals import make_kind
from weightgen.inr.signals.grids import Coordinates
from weightgen.inr.signals.images import Images


def picture(file: Path, size: tuple[int, int] = (6, 4), mode: str = "RGB", seed: int = 0) -> np.ndarray:
    """Write random pixels, (width, height) as Pillow says it."""
    depth = len(mode) if mode in ("RGB", "RGBA", "LA") else 1
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], depth), dtype=np.uint8)
    Image.fromarray(pixels[..., 0] if depth == 1 else pixels, mode if mode == "LA" else None).save(file)
    return pixels


def read(file: Path) -> np.ndarray:
    with Image.open(file) as image:
        return np.asarray(image)


def images(**conventions: object) -> Images:
    kind = make_kind("image", conventions)
    assert isinstance(kind, Images)
    return kind


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [("centres", [-0.75, -0.25, 0.25, 0.75]), ("left", [-1, -0.5, 0, 0.5]), ("ends", [-1, -1 / 3, 1 / 3, 1])],
)
def test_coordinates_of_the_longest_axis(sampling: str, expected: list[float]) -> None:
    axis = Coordinates.model_validate({"sampling": sampling}).along(4, 4)
    assert torch.allclose(axis, torch.tensor(expected))


def test_shorter_axes_keep_the_spacing_and_are_centred() -> None:
    found = Coordinates().of((2, 4))
    assert found.shape == (8, 2)
    assert found[:, 0].unique().tolist() == [-0.25, 0.25]  # rows first
    assert found[:4, 1].tolist() == [-0.75, -0.25, 0.25, 0.75]
    which = torch.tensor([6, 1, 1])
    assert torch.equal(Coordinates().of((2, 4), which), found[which])
    finer = Coordinates().of((4, 8))  # the same picture drawn at twice the size covers the same ground
    assert torch.allclose(finer.mean(0), found.mean(0), atol=1e-6)
    assert torch.allclose(finer[:2, 1].mean(), found[0, 1])


def test_pixels_are_what_the_file_says(tmp_path: Path) -> None:
    pixels = picture(tmp_path / "a.png")
    kind = images(crop=None)
    (signal,) = kind.load(str(tmp_path / "a.png"))
    look = kind.observe(signal)
    assert torch.allclose(look["values"], torch.from_numpy(pixels.reshape(-1, 3)).float() / 255)
    assert kind.shape(signal) == [4, 6]
    assert kind.count(signal) == 24
    table = {tuple(c.tolist()): v for c, v in zip(look["coordinates"], look["values"], strict=True)}

    def exact(x: torch.Tensor) -> torch.Tensor:  # a field that knows the picture by heart
        return torch.stack([table[tuple(c.tolist())] for c in x[0]]).unsqueeze(0)

    kind.save(kind.render(exact, kind.shape(signal)), tmp_path / "b.png", kind.shape(signal))
    assert np.array_equal(read(tmp_path / "b.png"), pixels)
    assert kind.render(lambda x: torch.zeros(1, x.shape[1], 3), [4, 6], 12).shape == (8, 12, 3)


def test_colours_are_multiplied_by_alpha_and_back(tmp_path: Path) -> None:
    pixels = picture(tmp_path / "a.png", mode="RGBA")
    kind = images(channels=4, crop=None)
    (signal,) = kind.load(str(tmp_path / "a.png"))
    values = kind.observe(signal)["values"].reshape(4, 6, 4)
    expected = pixels[..., :3] / 255.0 * (pixels[..., 3:] / 255.0)
    assert float((values[..., :3] - torch.from_numpy(expected)).abs().max()) <= 0.5 / 255 + 1e-6
    kind.save(values.numpy(), tmp_path / "b.png", [4, 6])
    back = read(tmp_path / "b.png").astype(int)
    opaque = pixels[..., 3] > 128
    assert np.abs(back[opaque] - pixels[opaque]).max() <= 2
    assert np.array_equal(back[..., 3], pixels[..., 3])


def test_crops(tmp_path: Path) -> None:
    picture(tmp_path / "a.png", (9, 7))
    kind = images(crop=4)
    (signal,) = kind.load(str(tmp_path / "a.png"))
    assert torch.equal(kind.standard(signal).data, signal.data[1:5, 2:6])
    seen = set()
    for seed in range(60):
        cut = kind.augmented(signal, torch.Generator().manual_seed(seed)).data
        assert cut.shape == (4, 4, 3)
        windows = signal.data.unfold(0, 4, 1).unfold(1, 4, 1)  # rows, columns, channels, 4, 4
        places = (windows.permute(0, 1, 3, 4, 2) == cut).all((2, 3, 4)).nonzero().tolist()
        flipped = (windows.permute(0, 1, 3, 4, 2) == cut.flip(1)).all((2, 3, 4)).nonzero().tolist()
        assert places or flipped
        seen.add(str(places or flipped) + str(bool(places)))
    assert len(seen) > 20
    plain = images(crop=4, augment="none")
    assert torch.equal(plain.augmented(signal, torch.Generator()).data, plain.standard(signal).data)
    assert images(crop=20).standard(signal).data.shape == (20, 20, 3)  # smaller images are enlarged


def test_channels_are_those_of_the_set(tmp_path: Path) -> None:
    def channels(folder: Path) -> int:
        return int(Images.conventions(str(folder), {})["channels"])

    picture(tmp_path / "grey.png", mode="L")
    assert channels(tmp_path) == 1
    picture(tmp_path / "colour.png")
    assert channels(tmp_path) == 3
    Image.fromarray(np.full((4, 4, 4), 255, np.uint8)).save(tmp_path / "opaque.png")  # an alpha that hides nothing
    assert channels(tmp_path) == 3
    picture(tmp_path / "seen-through.png", mode="RGBA")
    with pytest.raises(InputError, match=r"seen-through.png has transparency and .* has none"):
        channels(tmp_path)
    with pytest.raises(InputError, match="has transparency, expected colour"):
        images().load(str(tmp_path / "seen-through.png"))
    with pytest.raises(InputError, match="has colours, expected grey"):
        images(channels=1).load(str(tmp_path / "colour.png"))
    assert images().load(str(tmp_path / "grey.png"))[0].data.shape == (4, 6, 3)


def test_crops_are_no_larger_than_the_usual_picture(tmp_path: Path) -> None:
    def crop(**words: object) -> object:
        return Images.conventions(str(tmp_path), words)["crop"]

    for i, size in enumerate(((200, 190), (300, 200), (500, 400), (90, 30))):
        picture(tmp_path / f"{i}.png", size)
    assert crop() == 178
    for i, size in enumerate(((70, 64), (64, 70), (64, 64))):
        picture(tmp_path / f"small-{i}.png", size)
    assert crop() == 64
    assert crop(channels=3) == 64
    assert (crop(crop=20), crop(crop=None)) == (20, None)


def test_deep_greys_keep_their_range(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 32768, 65535]], np.uint16)).save(tmp_path / "deep.png")
    (signal,) = images(channels=1, crop=None).load(str(tmp_path / "deep.png"))
    assert signal.data.flatten().tolist() == [0, 128, 255]


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.5])
def test_values_that_are_no_light_are_refused(tmp_path: Path, value: float) -> None:
    values = np.random.default_rng(0).random((4, 6)).astype(np.float32)
    Image.fromarray(values).save(tmp_path / "a.tiff")
    (grey,) = images(channels=1, crop=None).load(str(tmp_path))
    assert grey.data[..., 0].numpy() == pytest.approx(values * 255, abs=0.51)
    values[1, 2] = value
    Image.fromarray(values).save(tmp_path / "a.tiff")
    with pytest.raises(InputError, match=r"a\.tiff: has values below zero or not finite"):
        images(channels=1, crop=None).load(str(tmp_path))
