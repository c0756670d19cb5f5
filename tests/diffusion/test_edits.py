"""Edits of photos: what each does by its formula, on numbers that can be checked by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from weightgen.diffusion.concepts import Clause
from weightgen.diffusion.edits import EDITS, edit
from weightgen.diffusion.edits_local import gaussian
from weightgen.diffusion.photos import bundled, crops, varied
from weightgen.errors import UsageError
from weightgen.models.positions import positions_of


@pytest.fixture(scope="module")
def photo() -> Tensor:
    """A cat, 96 x 144 pixels around its eyes."""
    (chelsea,) = (p for p in bundled().test if p.name == "chelsea")
    return chelsea.image[None, :, 60:156, 100:244]


def grey(value: float, side: int = 12) -> Tensor:
    return torch.full((1, 3, side, side), value)


def test_there_are_enough_operations() -> None:
    assert len(EDITS) >= 24
    assert all(name == e.name for name, e in EDITS.items())


@pytest.mark.parametrize("name", EDITS)
def test_every_edit_changes_a_photo_and_keeps_its_shape_and_range(name: str, photo: Tensor) -> None:
    before = photo.clone()
    made = edit(photo, [Clause(name, 1.0)])
    assert made.shape == photo.shape
    assert torch.equal(photo, before)
    assert bool(torch.isfinite(made).all())
    assert float(made.min()) >= 0
    assert float(made.max()) <= 1
    assert float((made - photo).abs().mean()) > 0.01
    assert torch.equal(made, edit(photo, [Clause(name, 1.0)]))


def test_no_two_edits_are_the_same(photo: Tensor) -> None:
    made = torch.stack([edit(photo, [Clause(name, 1.0)])[0] for name in EDITS]).flatten(1)
    distances = torch.cdist(made, made, p=1) / made.shape[1]
    assert float((distances + torch.eye(len(made))).min()) > 0.01


def test_strength_is_a_straight_line_between_the_photo_and_the_whole_effect(photo: Tensor) -> None:
    whole = edit(photo, [Clause("sepia", 1.0)])
    assert torch.allclose(edit(photo, [Clause("sepia", 0.3)]), 0.7 * photo + 0.3 * whole, atol=1e-6)
    assert torch.equal(edit(photo, [Clause("sepia", 0.0)]), photo)


def test_clauses_are_applied_in_order(photo: Tensor) -> None:
    first, second = Clause("negative", 1.0), Clause("sunset", 1.0)
    assert torch.equal(edit(photo, [first, second]), edit(edit(photo, [first]), [second]))
    assert float((edit(photo, [first, second]) - edit(photo, [second, first])).abs().mean()) > 0.05


def test_formulas() -> None:
    def made(name: str, value: float) -> Tensor:
        return edit(grey(value), [Clause(name, 1.0)])[0, :, 6, 6]

    assert torch.allclose(made("negative", 0.3), torch.tensor([0.7, 0.7, 0.7]))
    assert torch.allclose(made("solarise", 0.8), torch.tensor([0.2, 0.2, 0.2]))
    assert torch.allclose(made("solarise", 0.4), torch.tensor([0.4, 0.4, 0.4]))
    assert torch.allclose(made("posterise", 0.4), torch.full((3,), 1 / 3))  # 0, 1/3, 2/3, 1
    assert torch.allclose(made("sepia", 0.5), torch.tensor([0.6755, 0.6015, 0.4685]), atol=1e-4)
    assert torch.allclose(made("emboss", 0.9), torch.full((3,), 0.5))
    assert torch.allclose(made("neon", 0.9), torch.zeros(3), atol=1e-5)
    red = torch.tensor([1.0, 0.0, 0.0])[None, :, None, None].expand(1, 3, 12, 12)
    assert torch.allclose(edit(red, [Clause("monochrome", 1.0)]), torch.full((1, 3, 12, 12), 0.299))


def test_blurring_is_a_convolution_with_a_gaussian() -> None:
    point = torch.zeros(1, 1, 21, 21)
    point[0, 0, 10, 10] = 1
    made = gaussian(point, 1.5)[0, 0]
    offsets = torch.arange(-5, 6, dtype=torch.float64)
    kernel = torch.exp(-offsets.square() / 4.5)
    expected = torch.outer(kernel, kernel) / kernel.sum() ** 2
    assert torch.allclose(made[5:16, 5:16].double(), expected, atol=1e-7)
    assert float(made.sum()) == pytest.approx(1)


def test_oil_keeps_an_edge_that_blurring_loses() -> None:
    step = grey(0.1, 16)
    step[..., 8:] = 0.9
    assert torch.allclose(edit(step, [Clause("oil", 1.0)]), step, atol=1e-6)
    assert float((edit(step, [Clause("blur", 1.0)]) - step).abs().max()) > 0.2


def test_edits_by_position_need_no_more_of_a_photo_than_a_crop(photo: Tensor) -> None:
    places = positions_of(96, 144)[None]
    for name in ("vignette", "light-leak", "halftone"):
        whole = edit(photo, [Clause(name, 0.8)])
        crop = edit(photo[..., 20:60, 30:90], [Clause(name, 0.8)], places[..., 20:60, 30:90])
        assert torch.equal(crop, whole[..., 20:60, 30:90])
        alone = edit(photo[..., 20:60, 30:90], [Clause(name, 0.8)])  # as if the crop were the photo
        assert float((alone - crop).abs().max()) > 0.05
    corner, middle = edit(grey(1.0, 48), [Clause("vignette", 1.0)])[0, 0, [0, 24], [0, 24]].tolist()
    assert (corner, middle) == (pytest.approx(0, abs=0.02), pytest.approx(1, abs=0.02))


def test_local_edits_look_no_further_than_five_pixels() -> None:
    image = torch.rand(1, 3, 40, 40, generator=torch.Generator().manual_seed(0))
    other = image.clone()
    other[..., 20, 20] = 1 - other[..., 20, 20]
    for name in EDITS:
        changed = (edit(image, [Clause(name, 1.0)]) - edit(other, [Clause(name, 1.0)])).abs().amax((0, 1)) > 1e-6
        rows, columns = changed.nonzero(as_tuple=True)
        reach = max((int((rows - 20).abs().max()), int((columns - 20).abs().max())), default=0) if len(rows) else 0
        assert reach <= 5, name


def test_refusals() -> None:
    with pytest.raises(UsageError, match=r"unknown operation 'sepja'\. Did you mean 'sepia'\?"):
        edit(grey(0.5), [Clause("sepja", 1.0)])
    with pytest.raises(UsageError, match=r"sepia: expected a strength between 0 and 1, found 1\.5"):
        edit(grey(0.5), [Clause("sepia", 1.5)])


def test_crops_are_parts_of_photos_at_their_places() -> None:
    photos = bundled()
    assert not {p.name for p in photos.train} & {p.name for p in photos.test}
    found = crops(photos.train, 24, 6, torch.Generator().manual_seed(3))
    again = crops(photos.train, 24, 6, torch.Generator().manual_seed(3))
    assert torch.equal(found.images, again.images)
    assert found.images.shape == found.positions.shape == (6, 3, 24, 24)
    for image, place in zip(found.images, found.positions, strict=True):
        assert any(_lies_in(image, place, p.image, p.positions) for p in photos.train)


def test_varied_crops_are_photos_in_other_colours() -> None:
    image = bundled().train[0].image[:, 100:130, 100:130]
    made = torch.stack([varied(image, torch.Generator().manual_seed(seed)) for seed in range(200)])
    assert torch.equal(made[7], varied(image, torch.Generator().manual_seed(7)))
    assert float(made.min()) >= 0
    assert float(made.max()) <= 1
    means = made.mean((1, 2, 3))
    assert float(means.min()) < 0.25 < 0.75 < float(means.max())
    untouched = (made == image).flatten(1).all(1).float().mean()
    assert 0.05 < float(untouched) < 0.35  # some are plain photos
    exchanged = (made == image.flip(0)).flatten(1).all(1)
    assert bool(exchanged.any())


def _lies_in(image: Tensor, place: Tensor, photo: Tensor, positions: Tensor) -> bool:
    left = (positions[0, 0] - place[0, 0, 0]).abs().argmin()
    top = (positions[1, :, 0] - place[1, 0, 0]).abs().argmin()
    crop = photo[:, top : top + 24, left : left + 24]
    return crop.shape == image.shape and (torch.equal(crop, image) or torch.equal(crop.flip(-1), image))
