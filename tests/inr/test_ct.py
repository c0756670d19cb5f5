"""Slices as signals: projections against closed forms and skimage, reconstruction, and what is refused."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.transform import radon

from tests.inr.fields import agree_in_parts, fitted, refused, small_field
from weightgen.compare.field_jobs import flops_of_fit
from weightgen.errors import InputError, UsageError
from weightgen.inr.fitting import looked_at, stack
from weightgen.inr.signals import make_kind
from weightgen.inr.signals.kind import Signal
from weightgen.inr.signals.radon import interpolated, ray_points
from weightgen.inr.signals.tomography import Tomography
from weightgen.inr.start import Start


def kind(size: int = 16, **conventions: object) -> Tomography:
    found = make_kind("ct", {"size": size, "rays": size, "samples": size, "angles": 8, **conventions})
    assert isinstance(found, Tomography)
    return found


def blobs(size: int, *places: tuple[float, float, float, float]) -> torch.Tensor:
    """Return a slice of Gaussians: row, column, deviation, height; coordinates in [-1, 1]."""
    axis = (np.arange(size) + 0.5) * 2 / size - 1
    total = sum(h * np.exp(-((axis[:, None] - r) ** 2 + (axis[None] - c) ** 2) / (2 * s**2)) for r, c, s, h in places)
    return torch.from_numpy(np.rint(255 * np.clip(total, 0, 1)).astype(np.uint8))


def phantom(size: int) -> Signal:
    return Signal("phantom", blobs(size, (-0.3, 0.2, 0.15, 0.9), (0.3, -0.3, 0.3, 0.5)))


def write(file: Path, pixels: np.ndarray) -> Path:
    Image.fromarray(pixels).save(file)
    return file


def chords(points: torch.Tensor) -> torch.Tensor:
    """Return the lengths of rays, whose points are the middles of equal parts."""
    samples = points.shape[1]
    return (points[:, -1] - points[:, 0]).norm(dim=1) * samples / (samples - 1)


def test_rays_run_from_edge_to_edge() -> None:
    angles = torch.tensor([0.0, math.pi / 2, math.pi / 4, math.pi / 4])
    points = ray_points(angles, torch.tensor([0.5, 0.5, 0.0, 0.6]), 4)
    assert points[0].tolist() == pytest.approx(torch.tensor([[-0.75, 0.5], [-0.25, 0.5], [0.25, 0.5], [0.75, 0.5]]))
    assert points[1].flatten().tolist() == pytest.approx([-0.5, -0.75, -0.5, -0.25, -0.5, 0.25, -0.5, 0.75], abs=1e-6)
    diagonal = 2 * (math.sqrt(2) - 0.6)
    assert chords(points).tolist() == pytest.approx([2, 2, 2 * math.sqrt(2), diagonal], rel=1e-5)
    many = ray_points(torch.linspace(0, math.pi, 500), torch.linspace(-1, 1, 500), 9)
    assert many.abs().max() <= 1
    assert torch.isfinite(many).all()


def test_projections_of_a_disc_are_its_chords() -> None:
    one = kind(64, samples=512, angles=12)
    radius, row, column = 0.4, 0.2, -0.3
    look = one.observe(Signal("", torch.zeros(64, 64, dtype=torch.uint8)))
    centre = torch.tensor([row, column])

    def disc(x: torch.Tensor) -> torch.Tensor:
        return ((x - centre).norm(dim=-1, keepdim=True) < radius).float()

    batch = stack([look])
    integrals = one.predict(disc, batch)[0, :, 0] * chords(look["coordinates"])
    angles = torch.arange(12).repeat_interleave(64) * math.pi / 12
    offsets = one.observe(phantom(64))["coordinates"].new_tensor([(i + 0.5) / 32 - 1 for i in range(64)]).repeat(12)
    away = offsets - (column * torch.cos(angles) - row * torch.sin(angles))
    expected = 2 * (radius**2 - away**2).clamp_min(0).sqrt()
    assert (integrals - expected).abs().max() < 2 * 2.83 / 512  # at most one sample wrong at either end
    assert expected.max() > 0.79


def test_projections_agree_with_skimage() -> None:
    size = 65  # odd, because skimage turns around a pixel
    signal = Signal("", blobs(size, (-0.4, 0.1, 0.1, 0.9), (0.2, -0.3, 0.15, 0.5)))
    one = kind(size, samples=130, angles=9)
    lengths = chords(one.observe(signal)["coordinates"]).reshape(9, size).numpy() * size / 2  # in pixels
    ours = one.sinogram(signal) * lengths
    theirs = radon(signal.data.numpy() / 255, np.arange(9) * 20.0, circle=True).T
    assert np.abs(ours - theirs).max() < 0.005 * theirs.max()
    assert np.abs(ours[:, ::-1] - theirs).max() > 0.2 * theirs.max()


def test_values_between_pixels_are_bilinear() -> None:
    image = torch.tensor([[0.0, 1.0], [2.0, 4.0]])  # centres at +-0.5
    points = torch.tensor([[[-0.5, -0.5], [-0.5, 0.0]], [[0.0, 0.0], [1.0, 1.0]]])  # row, column
    assert interpolated(image, points).tolist() == [[0.0, 0.5], [1.75, 4.0]]


def test_few_views_are_equally_spaced_in_half_a_turn() -> None:
    signal = phantom(16)
    few, all_of_them = kind(views=2), kind()
    assert (few.count(signal), all_of_them.count(signal)) == (2 * 16, 8 * 16)
    assert torch.equal(few.observe(signal)["values"][:16], all_of_them.observe(signal)["values"][:16])
    assert torch.allclose(few.observe(signal)["values"][16:], all_of_them.observe(signal)["values"][64:80], atol=1e-6)
    which = torch.tensor([100, 3])
    some, every = all_of_them.observe(signal, which, torch.Generator()), all_of_them.observe(signal)
    assert all(torch.equal(some[n], every[n][which]) for n in some)


def test_judged_by_all_pixels() -> None:
    one, signal = kind(), phantom(16)
    batch = stack([one.judged(signal)])
    assert batch["coordinates"].shape == (1, 256, 2)
    assert batch["values"].view(16, 16).tolist() == (signal.data / 255).tolist()
    assert float(one.score(lambda x: batch["values"] + 0.01, batch)) == pytest.approx(40, abs=1e-3)


def test_a_field_recovers_a_slice_from_its_projections(tmp_path: Path) -> None:
    one, signal = kind(16, angles=12), phantom(16)
    evaluate, score = fitted(one, signal, small_field(one, first_frequency=8, frequency=8), 250, 3e-3, 96)
    assert score > 28
    residual = one.sinogram(signal, evaluate) - one.sinogram(signal)
    assert residual.shape == (12, 16)
    assert np.abs(residual).max() < 0.04
    drawn = one.render(evaluate, one.shape(signal))
    assert np.abs(drawn[..., 0] * 255 - signal.data.numpy()).mean() < 10
    large = one.render(evaluate, one.shape(signal), 33)
    assert large.shape == (33, 33, 1)
    one.save(large, tmp_path / "a.png", [16, 16])
    assert np.array_equal(np.array(Image.open(tmp_path / "a.png")), np.rint(large[..., 0] * 255))


def test_losses_do_not_depend_on_the_parts() -> None:
    agree_in_parts(kind(6), [Signal(str(i), torch.randint(256, (6, 6), dtype=torch.uint8)) for i in range(3)])


def test_a_step_looks_at_no_more_rays_than_points_allow(monkeypatch: pytest.MonkeyPatch) -> None:
    scan, seen = kind(angles=9), phantom(16)
    assert looked_at(scan, seen) == scan.count(seen) == 9 * 16
    monkeypatch.setattr("weightgen.inr.fitting.MANY", 16 * 100)
    assert looked_at(scan, seen) == 100
    assert looked_at(scan, seen, 7) == 7
    start = Start(small_field(scan), scan)
    weights = 32 * (2 + 32 + 1)
    assert flops_of_fit(start, [seen, seen], 5) == 2 * 5 * 6 * weights * 100 * 16  # of 16 points along each ray


def test_slices_are_read_and_resized(tmp_path: Path) -> None:
    slices = phantom(16).data.numpy()
    write(tmp_path / "b.png", slices)
    write(tmp_path / "a.png", np.repeat(np.repeat(slices, 2, 0), 2, 1)[..., None].repeat(3, 2))  # grey stored as colour
    assert Tomography.conventions(str(tmp_path), {"angles": 5}) == {"size": 16, "rays": 16, "samples": 16, "angles": 5}
    assert Tomography.conventions(str(tmp_path), {"size": 9}) == {"size": 9}
    first, second = kind().load(str(tmp_path))
    assert (first.name, second.name) == ("a", "b")
    assert torch.equal(second.data, phantom(16).data)
    assert (first.data.int() - second.data.int()).abs().float().mean() < 3


def test_what_is_no_slice_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.png"

    def load() -> None:
        kind().load(str(tmp_path))

    refused(InputError, load, "expected slices", "found none")
    write(file, np.zeros((16, 20), np.uint8))
    refused(InputError, load, "a.png: is 20 x 16 pixels, expected a square slice", "Pad or crop it first.")
    write(file, np.arange(16 * 16 * 3, dtype=np.uint8).reshape(16, 16, 3))
    refused(InputError, load, "a.png: has colours, expected a grey slice. Convert it first.")
    write(file, np.arange(16 * 16 * 4, dtype=np.uint8).reshape(16, 16, 4))
    refused(InputError, load, "a.png: has transparency, expected a grey slice. Flatten it first.")
    whole = write(file, phantom(16).data.numpy()).read_bytes()
    for raw in (b"", b"x" * 50, whole[:40], whole[:-30]):
        file.write_bytes(raw)
        refused(InputError, load, "a.png: ", "read")
    refused(UsageError, lambda: make_kind("ct", {"views": 0}), "--signal-args: views")


def test_a_slice_of_sixteen_bits_uses_all_greys_and_says_so(tmp_path: Path) -> None:
    shifted = (np.arange(256).reshape(16, 16) * 4 + 31000).astype(np.uint16)
    signal = kind().load(str(write(tmp_path / "a.png", shifted)))[0]
    assert (int(signal.data.min()), int(signal.data.max())) == (0, 255)
    assert signal.remark == "values spread from 31000 (black) to 32020 (white)"
