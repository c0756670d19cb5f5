"""Scenes as signals: rays, volume rendering against closed forms, a ray-traced scene fitted."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.inr.balls import ANGLE, BALLS, around, kind, looking_at_the_origin, traced, write_scene
from tests.inr.fields import agree_in_parts, fitted, small_field
from weightgen.inr.fitting import stack
from weightgen.inr.signals.views import Views
from weightgen.inr.signals.volume import camera_rays, composite, depths


def test_rays_of_a_camera_without_rotation() -> None:
    pose = torch.eye(4).unsqueeze(0)
    pose[0, :3, 3] = torch.tensor([1.0, 2.0, 3.0])
    origins, directions = camera_rays(pose, math.pi / 2, 2, 4)  # 90 degrees: from -1 to 1 at depth 1
    assert origins.shape == directions.shape == (8, 3)
    assert origins.unique(dim=0).tolist() == [[1, 2, 3]]
    expected = [[x, y, -1] for y in (0.25, -0.25) for x in (-0.75, -0.25, 0.25, 0.75)]
    assert directions.flatten().tolist() == pytest.approx(np.ravel(expected).tolist(), abs=1e-6)
    _, some = camera_rays(pose, math.pi / 2, 2, 4, torch.tensor([5, 0]))
    assert torch.equal(some, directions[[5, 0]])


def test_rays_turn_with_the_camera() -> None:
    pose = torch.from_numpy(looking_at_the_origin(0.7, 0.3)).float()
    origins, directions = camera_rays(pose.unsqueeze(0), ANGLE, 3, 3)
    middle = directions[4]  # of the middle pixel: to the origin, and of length 1 there
    assert torch.allclose(origins[4] + 4 * middle, torch.zeros(3), atol=1e-5)
    assert directions[1][2] > middle[2] > directions[7][2]  # the upper row looks higher


@pytest.mark.parametrize("density", [0.3, 2.0])
@pytest.mark.parametrize("samples", [1, 7, 64])
def test_constant_density_is_the_exponential(density: float, samples: int) -> None:
    raw = math.log(math.expm1(density))  # of the softplus
    values = torch.tensor([0.0, 100.0, -100.0, raw]).expand(2, samples, 4)
    length = torch.tensor([[3.0], [6.0]])
    left = torch.exp(-density * length)
    for background in (0.0, 1.0):
        expected = (1 - left) * torch.tensor([0.5, 1.0, 0.0]) + left * background
        assert torch.allclose(composite(values, length / samples, background), expected, atol=1e-6)


def test_what_is_near_hides_what_is_far() -> None:
    wall, air = [100.0, -100.0, -100.0, 100.0], [0.0, 0.0, 0.0, -100.0]
    behind = [-100.0, 100.0, -100.0, 100.0]
    values = torch.tensor([[air, wall, behind], [air, air, behind], [air, air, air]])
    expected = torch.tensor([[1.0, 0, 0], [0, 1, 0], [1, 1, 1]])
    assert torch.allclose(composite(values, torch.ones(3, 1), 1.0), expected, atol=1e-6)


def test_a_slab_of_density_converges_to_its_integral() -> None:
    """Density 1.5 for depths between 3 and 4.1, seen by rays that are 1.25 times as long as their depths."""
    one = kind(samples=4000, scale=2.0, background="black")
    places = depths(2, 6, 4000, torch.full((4000,), 0.5))
    points = places.view(1, 1, -1, 1) * torch.tensor([0.0, 0.75, -1.0]) / 2
    rays = {"coordinates": points, "lengths": torch.full((1, 1, 1), 1.25 * 4 / 4000)}

    def slab(x: torch.Tensor) -> torch.Tensor:
        depth = -x[..., 2] * 2
        density = torch.where((depth > 3) & (depth < 4.1), math.log(math.expm1(1.5)), -100.0)
        return torch.stack([*[torch.full_like(depth, 100.0)] * 3, density], -1)

    expected = 1 - math.exp(-1.5 * 1.1 * 1.25)
    assert one.predict(slab, rays).flatten().tolist() == pytest.approx([expected] * 3, abs=1e-3)


def test_depths_are_stratified() -> None:
    middles = depths(2, 6, 4, torch.full((4,), 0.5))
    assert middles.tolist() == [2.5, 3.5, 4.5, 5.5]
    drawn = depths(2, 6, 4, torch.rand(500, 4, generator=torch.Generator().manual_seed(0)))
    assert torch.equal(((drawn - 2) // 1).long(), torch.arange(4).expand(500, 4))
    assert drawn.mean(0).tolist() == pytest.approx(middles.tolist(), abs=0.05)


def test_scenes_are_read_with_their_held_out_views(tmp_path: Path) -> None:
    one = kind()
    (signal,) = one.load(str(write_scene(tmp_path / "balls", around(10))))
    assert signal.name == "balls"
    learned, held_out = signal.data.learned, signal.data.held_out
    assert (len(learned.images), len(held_out.images)) == (8, 2)
    assert torch.allclose(held_out.poses.double(), torch.from_numpy(np.stack([around(10)[0], around(10)[8]])))
    assert one.count(signal) == 8 * 120
    assert one.shape(signal) == [2, 10, 12]
    look = one.observe(signal)
    white = traced(around(10)[1], 10, 12)
    white[white[..., 3] == 0] = 255
    assert torch.equal(look["values"][:120], torch.from_numpy(white[..., :3]).view(-1, 3) / 255)
    assert look["values"][0].tolist() == [1, 1, 1]
    apart = (look["coordinates"][:, 1:] - look["coordinates"][:, :-1]).norm(dim=-1) * one.scale
    assert torch.allclose(apart, look["lengths"].expand_as(apart), atol=1e-5)
    assert torch.equal(one.judged(signal)["values"].view_as(held_out.images), held_out.images / 255)
    which = torch.tensor([7, 500, 959])
    assert all(torch.equal(one.observe(signal, which)[n], look[n][which]) for n in look)
    drawn = one.observe(signal, which, torch.Generator().manual_seed(0))
    cameras = learned.poses[which // 120]
    parts = []
    for points in (look["coordinates"][which], drawn["coordinates"]):
        from_camera = points * one.scale - cameras[:, :3, 3].unsqueeze(1)
        parts.append(((from_camera @ -cameras[:, :3, 2:3])[..., 0] - 2) / (4 / 24))  # along the axis, in parts
    assert parts[0].flatten().tolist() == pytest.approx([i + 0.5 for i in range(24)] * 3, abs=1e-4)
    assert torch.equal(parts[1].floor(), parts[0].floor())
    assert (parts[1] - parts[0]).abs().max() > 0.3
    write_scene(tmp_path / "balls", around(3, 0.8), "transforms_test.json")
    (signal,) = one.load(str(tmp_path))
    assert (len(signal.data.learned.images), len(signal.data.held_out.images)) == (10, 3)
    write_scene(tmp_path / "balls", around(5), "transforms_train.json")
    (signal,) = one.load(str(tmp_path))
    assert (len(signal.data.learned.images), len(signal.data.held_out.images)) == (5, 3)
    write_scene(tmp_path / "other", around(2))
    first, second = kind(views=1, background="black", downscale=2).load(str(tmp_path))
    assert (first.name, second.name) == ("balls", "other")
    for place in ("a", "b"):
        write_scene(tmp_path / "alike" / place / "scene", around(2))
    assert [s.name for s in one.load(str(tmp_path / "alike"))] == ["a/scene", "b/scene"]
    assert first.data.learned.images.shape == (1, 5, 6, 3)
    assert first.data.learned.images[0, 0, 0].tolist() == [0, 0, 0]


def test_transparency_is_laid_on_the_background(tmp_path: Path) -> None:
    folder = write_scene(tmp_path, around(2))
    Image.new("RGBA", (12, 10), (200, 100, 0, 51)).save(tmp_path / "transforms" / "r_1.png")
    for background, expected in (("white", [244, 224, 204]), ("black", [40, 20, 0])):
        (signal,) = kind(background=background).load(str(folder))
        assert signal.data.learned.images.view(-1, 3).unique(dim=0).tolist() == [expected]


def test_conventions_know_what_to_draw(tmp_path: Path) -> None:
    write_scene(tmp_path, around(9))
    found = Views.conventions(str(tmp_path), {"near": 1})
    assert found == {"near": 1, "angle": ANGLE, "pose": around(9)[0].tolist()}
    write_scene(tmp_path, around(3, 0.8), "transforms_test.json")
    found = Views.conventions(str(tmp_path), {})
    assert found["pose"] == around(3, 0.8)[0].tolist()
    assert torch.allclose(kind(**found).pose.double(), torch.from_numpy(around(3, 0.8)[0]))


def true_field(scale: float) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return the balls themselves as a radiance field."""

    def evaluate(x: torch.Tensor) -> torch.Tensor:
        values = torch.full((*x.shape[:-1], 4), -100.0)
        for centre, radius, colour in BALLS:
            inside = (x * scale - torch.tensor(centre)).norm(dim=-1) < radius
            share = torch.tensor(colour) / 255
            values[inside] = torch.tensor([*torch.logit(share).tolist(), 100.0])
        return values

    return evaluate


def test_the_true_field_shows_what_the_ray_tracer_saw(tmp_path: Path) -> None:
    (folder,) = [write_scene(tmp_path, around(9), height=20, width=24)]
    one = kind(samples=256, **Views.conventions(str(folder), {}))
    (signal,) = one.load(str(folder))
    evaluate = true_field(one.scale)
    seen = one.render(evaluate, one.shape(signal))
    expected = signal.data.held_out.images[0].numpy() / 255
    assert np.mean(np.abs(seen - expected).max(-1) > 0.05) < 0.03  # pixels at the edges of the balls
    assert float(one.score(evaluate, stack([one.judged(signal)]))) > 22
    large = one.render(evaluate, one.shape(signal), 48)
    assert large.shape == (40, 48, 3)
    one.save(large, tmp_path / "a.png", [])
    assert np.array_equal(np.array(Image.open(tmp_path / "a.png")), np.rint(large * 255))


def test_a_field_learns_a_scene(tmp_path: Path) -> None:
    folder = write_scene(tmp_path, around(16))
    one = kind(samples=16, near=2.5, far=5.5, scale=1.5, **Views.conventions(str(folder), {}))
    (signal,) = one.load(str(folder))
    field = small_field(one, first_frequency=6, frequency=6)
    untrained = float(one.score(lambda x: torch.zeros(*x.shape[:2], 4), stack([one.judged(signal)])))
    evaluate, score = fitted(one, signal, field, 250, 5e-3, 128)
    assert score > max(18, untrained + 6)
    assert one.render(evaluate, one.shape(signal))[5, 6].argmax() == 0  # the red ball


def test_very_many_rays_are_judged_by_some(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = kind()
    (signal,) = one.load(str(write_scene(tmp_path, around(2))))
    assert one.judged(signal)["values"].shape == (120, 3)
    monkeypatch.setattr("weightgen.inr.signals.views.JUDGED", 50)
    first, again = one.judged(signal), one.judged(signal)
    assert first["values"].shape == (50, 3)
    assert all(torch.equal(first[n], again[n]) for n in first)


def test_losses_and_scores_do_not_depend_on_the_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = kind(samples=5)
    signals = []
    for name, elevation in (("a", 0.1), ("b", 0.5), ("c", 0.9)):
        signals += one.load(str(write_scene(tmp_path / name, around(2, elevation), height=4, width=5)))
    agree_in_parts(one, signals)
    batch = stack([one.judged(s) for s in signals])
    whole = one.score(true_field(4), batch)
    monkeypatch.setattr("weightgen.inr.signals.views.POINTS", 7 * 15)
    assert torch.allclose(one.score(true_field(4), batch), whole)


def test_a_scene_is_aimed_at_with_the_camera_of_what_is_drawn_of_it(tmp_path: Path) -> None:
    write_scene(tmp_path / "a", around(9, 0.3), height=6, width=8)
    views = kind(samples=4)
    signal = views.load(str(tmp_path / "a"))[0]
    seen = signal.data.held_out
    aimed = views.aimed(signal)
    assert isinstance(aimed, Views)
    assert torch.equal(aimed.pose, seen.poses[0])
    assert aimed.angle == seen.angle
    assert (aimed.samples, aimed.near) == (views.samples, views.near)
    np.testing.assert_array_equal(np.rint(np.asarray(views.itself(signal)) * 255), seen.images[0].numpy())
