"""`weightgen apply`: strips without seams, grey and transparent images, formats, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.conftest import Command
from weightgen.diffusion.applying import edited, translated
from weightgen.diffusion.translator import save_translator
from weightgen.models.translator import Translator, TranslatorConfig

pytestmark = pytest.mark.usefixtures("one_thread")


def network(seed: int = 0, **changes: object) -> Translator:
    made = Translator(TranslatorConfig.model_validate({"width": 6, "layers": 3, **changes}), seed)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.1, generator=torch.Generator().manual_seed(seed))
    return made


@pytest.fixture
def start(tmp_path: Path) -> Path:
    (tmp_path / "start").mkdir()
    save_translator(network(), tmp_path / "start")
    return tmp_path / "start"


def pixels(height: int, width: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    shape = (height, width, channels) if channels > 1 else (height, width)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def opened(file: Path) -> Image.Image:
    with Image.open(file) as image:
        image.load()
    return image


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 40), st.integers(1, 12), st.integers(1, 200), st.booleans())
def test_strips_show_no_seam(height: int, width: int, most: int, position: bool) -> None:
    made = network(position=position)
    photo = torch.rand(3, height, width, generator=torch.Generator().manual_seed(height))
    with torch.no_grad():
        whole = made(photo[None])[0].clamp(0, 1)
    assert torch.allclose(translated(made, photo, most), whole, atol=1e-5)


def test_strips_that_saw_less_would_show_seams() -> None:
    made = network()
    photo = torch.rand(3, 20, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        whole = made(photo[None])[0].clamp(0, 1)
        alone = torch.cat([made(part[None])[0].clamp(0, 1) for part in torch.split(photo, 5, 1)], 1)
    assert float((alone - whole).abs().max()) > 0.01


def test_an_untaught_network_changes_nothing(tmp_path: Path, command: Command) -> None:
    (tmp_path / "plain").mkdir()
    save_translator(Translator(TranslatorConfig(width=4, layers=2)), tmp_path / "plain")
    Image.fromarray(pixels(9, 7)).save(tmp_path / "photo.png")
    assert command("apply", "plain", "photo.png", "--out", "same.png").code == 0
    assert np.array_equal(np.array(opened(tmp_path / "same.png")), pixels(9, 7))


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
def test_the_suffix_says_the_format(start: Path, command: Command, tmp_path: Path, suffix: str) -> None:
    Image.fromarray(pixels(16, 20)).save(tmp_path / "photo.png")
    outcome = command("apply", "start", "photo.png", "--out", f"made/edited{suffix}", "--json")
    assert json.loads(outcome.out) == {"written": f"made/edited{suffix}", "width": 20, "height": 16}
    with Image.open(tmp_path / f"made/edited{suffix}") as found:
        assert found.size == (20, 16)
        assert found.mode == "RGB"
        expected = edited(network(), Image.fromarray(pixels(16, 20)))
        if suffix in (".png", ".tif"):
            assert np.array_equal(np.array(found), expected)
    assert not np.array_equal(expected, pixels(16, 20))


def test_grey_and_transparent_images() -> None:
    grey = pixels(12, 10, 1)
    found = edited(network(), Image.fromarray(grey))
    assert found.shape == (12, 10, 3)
    assert np.array_equal(found, edited(network(), Image.fromarray(np.stack([grey] * 3, -1))))
    colours = pixels(12, 10, 4)
    clear = edited(network(), Image.fromarray(colours))
    assert clear.shape == (12, 10, 4)
    assert np.array_equal(clear[..., 3], colours[..., 3])
    assert np.array_equal(clear[..., :3], edited(network(), Image.fromarray(colours[..., :3])))
    opaque = colours.copy()
    opaque[..., 3] = 255
    assert edited(network(), Image.fromarray(opaque)).shape == (12, 10, 3)
    few = Image.fromarray(colours[..., :3]).quantize(8)
    assert np.array_equal(edited(network(), few), edited(network(), few.convert("RGB")))


def test_sixteen_bits_and_rotated_images(start: Path, command: Command, tmp_path: Path) -> None:
    Image.fromarray(pixels(6, 9, 1).astype(np.uint16) * 257).save(tmp_path / "deep.png")
    assert command("apply", "start", "deep.png", "--out", "a.png").code == 0
    expected = edited(network(), Image.fromarray(pixels(6, 9, 1)))
    assert np.array_equal(np.array(opened(tmp_path / "a.png")), expected)
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    Image.fromarray(pixels(6, 9)).save(tmp_path / "turned.png", exif=exif)
    assert command("apply", "start", "turned.png", "--out", "b.png").code == 0
    assert opened(tmp_path / "b.png").size == (6, 9)


def test_refusals(start: Path, command: Command, tmp_path: Path) -> None:
    Image.fromarray(pixels(8, 8, 4)).save(tmp_path / "clear.png")
    Image.fromarray(pixels(8, 8)).save(tmp_path / "photo.png")
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").write_text('{"format": "weightgen-inr-start"}')
    command("apply", "start", "nowhere.png", "--out", "a.png").refused(2, "nowhere.png: no such file")
    command("apply", "start", "text.png", "--out", "a.png").refused(3, "text.png: is no image that can be read")
    command("apply", "start", "photo.png", "--out", "photo.png").refused(2, "photo.png: is what it would be made from")
    command("apply", "start", "photo.png", "--out", "photo.png/x.png").refused(2, "photo.png is no directory")
    command("apply", "start", "photo.png", "--out", "a.xyz").refused(2, "a.xyz: no format for images")
    command("apply", "start", "clear.png", "--out", "a.jpg").refused(2, "a.jpg: cannot be written", "Try .png")
    command("apply", "nowhere", "photo.png", "--out", "a.png").refused(
        2, "no start for images here", "weightgen generate"
    )
    command("apply", "other", "photo.png", "--out", "a.png").refused(2, "found weightgen-inr-start")
    file = start / "model.safetensors"
    file.write_bytes(file.read_bytes()[:200])
    command("apply", "start", "photo.png", "--out", "a.png").refused(3, "model.safetensors")


def test_an_existing_picture_is_whole_at_any_moment(start: Path, command: Command, tmp_path: Path) -> None:
    Image.fromarray(pixels(8, 8)).save(tmp_path / "photo.png")
    (tmp_path / "edited.png").write_bytes(b"before")
    assert command("apply", "start", "photo.png", "--out", "edited.png").code == 0
    assert opened(tmp_path / "edited.png").size == (8, 8)
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []
