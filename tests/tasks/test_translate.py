"""`--task translate`: photos and their edits, how translators are judged by them, and what is refused."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import metrics

from tests.conftest import Command
from weightgen.diffusion.concepts import Clause
from weightgen.diffusion.edits import edit
from weightgen.diffusion.photos import bundled
from weightgen.errors import InputError, UsageError
from weightgen.models.libraries import build
from weightgen.models.names import resolve
from weightgen.models.translator import Translator, TranslatorConfig
from weightgen.recipe import TrainRecipe
from weightgen.tasks import make_task
from weightgen.tasks.edited import clauses_of, load_shots
from weightgen.tasks.translate import TranslateTask
from weightgen.training.task import Split

pytestmark = pytest.mark.usefixtures("one_thread")
SEPIA = "concept:sepia tone, strength 0.5"
HELD_OUT: tuple[Split, ...] = ("tune", "validation", "test")


def write_pairs(folder: Path, count: int, width: int = 64, height: int = 48) -> Path:
    """Write pictures of coloured waves, and their negatives."""
    rows, columns = np.mgrid[:height, :width]
    for side in ("before", "after"):
        (folder / side).mkdir(parents=True)
    for i in range(count):
        waves = [np.sin((columns * (c + 1) + rows * (i % 5)) / 9 + i + c) for c in range(3)]
        pixels = np.rint(127.5 + 127.5 * np.stack(waves, axis=-1)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / "before" / f"p{i:02d}.png")
        Image.fromarray(255 - pixels).save(folder / "after" / f"p{i:02d}.png")
    return folder


@pytest.fixture(scope="module")
def sepia() -> TranslateTask:
    return TranslateTask(SEPIA)


def test_concepts_are_named_by_their_edits_own_names() -> None:
    assert clauses_of("sepia tone, strength 0.7 and soft blur") == (Clause("sepia", 0.7), Clause("blur", 0.7))
    assert clauses_of("strong Sabattier effect") == (Clause("solarise", 1.0),)
    assert clauses_of("black and white at 35 %") == (Clause("monochrome", 0.35),)
    assert clauses_of("light-leak") == (Clause("light-leak", 0.7),)
    with pytest.raises(UsageError, match=r"no edit is called 'sepia tonne'\. Did you mean 'sepia tone'\?"):
        clauses_of("soft blur then sepia tonne")
    with pytest.raises(UsageError, match=r"no edit is called 'quxx'\. Known are sepia, monochrome, "):
        clauses_of("quxx")
    with pytest.raises(UsageError, match="says no edit"):
        clauses_of(" , ")
    with pytest.raises(UsageError, match="expected a strength above 0"):
        clauses_of("sepia tone at 120 %")


def test_items_are_crops_with_their_edited_partners(sepia: TranslateTask) -> None:
    batch = sepia.batch("test", range(8))
    assert {name: tuple(value.shape) for name, value in batch.items()} == dict.fromkeys(batch, (8, 3, 64, 64))
    assert torch.equal(batch["after"], edit(batch["before"], [Clause("sepia", 0.5)], batch["positions"]))
    # Where a crop lies is told by the positions of its photo, and what is in it is the photo there.
    photo = next(p for p in bundled().test if p.name == "flower")
    shown = next(s for s in sepia.shown if s.title == "flower")
    one = sepia.batch("validation", [shown.item])
    place = (photo.positions[:2] - one["positions"][0, :2, :1, :1]).abs().sum(0)
    top, left = divmod(int(place.argmin()), place.shape[1])
    assert torch.equal(photo.image[:, top : top + 64, left : left + 64], one["before"][0])


def test_no_photo_is_both_trained_on_and_judged_by_and_no_crop_is_in_two_splits(sepia: TranslateTask) -> None:
    shots = load_shots(SEPIA)
    assert {s.photo.name for s in shots.held_out} == {"chelsea", "rocket", "flower"}
    assert not {s.photo.name for s in shots.train} & {s.photo.name for s in shots.held_out}
    assert sepia.sizes == {"train": sepia.sizes["train"], "tune": 30, "validation": 59, "test": 59}
    assert sepia.sizes["train"] > 300
    seen = [crop.numpy().tobytes() for split in HELD_OUT for crop in sepia.batch(split, range(29))["before"]]
    assert len(set(seen)) == len(seen)
    again = TranslateTask(SEPIA)
    assert torch.equal(again.batch("tune", range(4))["before"], sepia.batch("tune", range(4))["before"])


def test_training_crops_follow_their_draws_alone(sepia: TranslateTask) -> None:
    whole = sepia.batch("train", [0, 1, 200], [11, 12, 13])
    alone = sepia.batch("train", [1], [12])
    assert torch.equal(whole["before"][1], alone["before"][0])
    assert not torch.equal(sepia.batch("train", [1], [14])["before"], alone["before"])
    assert not torch.equal(sepia.batch("train", [1])["before"], alone["before"])


def test_scores_are_those_of_the_field(sepia: TranslateTask) -> None:
    batch = sepia.batch("test", range(5))
    outputs = sepia.forward(Translator(), batch).detach()
    assert torch.equal(outputs, batch["before"])  # untaught: nothing is changed
    noisy = outputs + 0.3 * torch.randn(outputs.shape, generator=torch.Generator().manual_seed(0))
    seen, wanted = noisy.clamp(0, 1).numpy(), batch["after"].numpy()
    reference: Any = metrics
    expected = [reference.peak_signal_noise_ratio(w, s, data_range=1) for w, s in zip(wanted, seen, strict=True)]
    assert np.allclose(sepia.scores(noisy, batch), expected, atol=1e-3)
    how = {"channel_axis": 0, "data_range": 1, "gaussian_weights": True, "use_sample_covariance": False}
    alike = [reference.structural_similarity(w, s, **how) for w, s in zip(wanted, seen, strict=True)]
    assert np.allclose(sepia.further["SSIM"](noisy, batch), alike, atol=0.02)  # that of skimage leaves edges out
    assert np.allclose(sepia.further["L1"](noisy, batch), np.abs(seen - wanted).mean((1, 2, 3)), atol=1e-5)
    # What cannot be seen does not count in scores, but it does in the loss.
    wild = batch["after"] + torch.where(batch["after"] == 1, 5.0, 0.0)
    assert torch.equal(sepia.scores(wild, batch), sepia.scores(batch["after"], batch))
    assert float(sepia.loss(noisy, batch)) == pytest.approx(float((noisy - batch["after"]).abs().mean()))
    assert torch.isfinite(sepia.scores(torch.full_like(outputs, torch.nan), batch)).all()


def test_pictures_show_what_the_model_makes_of_them(sepia: TranslateTask) -> None:
    assert [s.title for s in sepia.shown] == ["chelsea", "rocket", "flower"]
    model = Translator(TranslatorConfig(width=4, layers=2)).train()
    drawn = sepia.draw(model)
    assert model.training
    assert drawn == [s.beside["before"] for s in sepia.shown]  # an untaught network changes nothing
    target = sepia.batch("validation", [sepia.shown[2].item])["after"][0]
    with Image.open(io.BytesIO(sepia.shown[2].beside["target"])) as image:
        assert np.array_equal(np.asarray(image), (255 * target).round().byte().permute(1, 2, 0))
    with torch.no_grad():
        model.net[-1].bias.fill_(1.0)  # type: ignore[operator]
    with Image.open(io.BytesIO(sepia.draw(model)[0])) as image:
        assert np.asarray(image).min() == 255


def test_folders_of_pairs(tmp_path: Path) -> None:
    task = TranslateTask(str(write_pairs(tmp_path / "negative", 9)), 16)
    assert [s.photo.name for s in load_shots(str(tmp_path / "negative")).held_out] == ["p03", "p07"]
    assert task.sizes == {"train": 7 * 12, "tune": 5, "validation": 9, "test": 10}
    batch = task.batch("train", [0, 30], [1, 2])
    assert torch.allclose(batch["after"], 1 - batch["before"], atol=1e-6)
    two = load_shots(str(write_pairs(tmp_path / "two", 2)))
    assert [len(two.train), two.held_out[0].photo.name] == [1, "p01"]


def test_bad_data(tmp_path: Path) -> None:
    folder = write_pairs(tmp_path / "pairs", 3)

    def refused(error: type[Exception], text: str, size: int = 16, data: Path = folder) -> None:
        with pytest.raises(error, match=text):
            TranslateTask(str(data), size)

    refused(InputError, r"p02: 64 x 48 pixels, smaller than the crops of 50 x 50\.\nLeave the photo out", 50)
    refused(InputError, r"the held-out photos have 1 squares of 40 x 40 pixels, 3 are needed at least\n", 40)
    refused(UsageError, "--image-size 8: expected crops of at least 11 pixels", 8)
    refused(
        UsageError, r"'.*nowhere' is no such directory\nPhotos to translate are a folder", data=tmp_path / "nowhere"
    )
    (folder / "after" / "p01.png").rename(folder / "after" / "q.png")
    refused(InputError, "before/p01 has no partner of that name in after/")
    (folder / "after" / "q.png").rename(folder / "after" / "p01.png")
    Image.new("RGB", (64, 47)).save(folder / "after" / "p01.png")
    refused(InputError, "64 x 48 and 64 x 47 pixels")
    (folder / "after" / "p01.png").write_bytes(b"no image")
    refused(InputError, "is no image that can be read")
    refused(InputError, "expected at least two pairs", data=write_pairs(tmp_path / "one", 1))
    (tmp_path / "half" / "before").mkdir(parents=True)
    refused(UsageError, "no folder 'after' here", data=tmp_path / "half")


def test_what_does_not_fit_is_refused(command: Command, tmp_path: Path) -> None:
    write_pairs(tmp_path / "pairs", 4)
    words = ("train", "--task", "translate", "--image-size", "16", "--out", "made", "--model")
    command(*words, "timm:resnet18", "--data", "pairs").refused(2, "the model is no image translator", "ResNet")
    command(*words, "translator", "--data", "concept:sepai").refused(2, "'sepai'", "Did you mean 'sepia'")
    command(*words, "translator", "--data", "pairs", "--teacher", "x").refused(2, "leave --teacher out")
    command(*words, "translator", "--data", "digits").refused(2, "'digits' is no such directory")
    classify = ("train", "--task", "classify", "--model", "translator", "--out", "made")
    command(*classify).refused(2, "a translator makes images of images: train it with --task translate")
    mute = ("train", "--task", "causal", "--model", "translator", "--data", __file__, "--out", "made")
    command(*mute).refused(2, "translator takes no text")


def test_models_of_another_form_are_refused(sepia: TranslateTask) -> None:
    class Half(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = torch.nn.Parameter(torch.ones(()))

        def forward(self, images: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
            return images[:, :, ::2] * self.scale

    with pytest.raises(UsageError, match=r"it makes \[2, 3, 32, 64\] of \[2, 3, 64, 64\]"):
        sepia.check(Half())
    sepia.check(Translator())


def test_recipes_say_the_size_of_crops(tmp_path: Path) -> None:
    architecture = build(resolve("translator"), {})
    recipe = TrainRecipe(task="translate", data=str(write_pairs(tmp_path / "pairs", 12, 96, 96)), model="translator")
    assert make_task(recipe, architecture, None).batch("test", [0])["before"].shape[-1] == 64
    smaller = recipe.model_copy(update={"image_size": 24})
    assert make_task(smaller, architecture, None).batch("test", [0])["before"].shape[-1] == 24
