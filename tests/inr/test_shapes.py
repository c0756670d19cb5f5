"""Shapes as signals: distances and insides against closed forms, scores, surfaces, and what is refused."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh

from tests.inr.fields import agree_in_parts, fitted, refused, small_field
from weightgen.errors import InputError, UsageError
from weightgen.inr.signals import make_kind
from weightgen.inr.signals.kind import Signal
from weightgen.inr.signals.shapes import Shapes
from weightgen.inr.signals.triangles import Surface, solid_angles, squared_distances

EVERYWHERE = np.random.default_rng(1).uniform(-1, 1, (4000, 3))


def kind(**conventions: object) -> Shapes:
    found = make_kind("shape", {"points": 4000, **conventions})
    assert isinstance(found, Shapes)
    return found


def box_distance(points: np.ndarray, half: tuple[float, float, float]) -> np.ndarray:
    """The signed distance of a box: outside the norm of the excess, inside the least depth."""
    excess = np.abs(points) - np.array(half)
    return np.linalg.norm(np.maximum(excess, 0), axis=1) + np.minimum(excess.max(1), 0)


def load_one(one: Shapes, mesh: trimesh.Trimesh, file: Path) -> Signal:
    mesh.export(file)
    (signal,) = one.load(str(file))
    return signal


def test_distances_and_windings_of_a_box_are_exact() -> None:
    half = (0.8, 0.4, 0.2)
    surface = Surface(trimesh.creation.box(extents=[2 * h for h in half]).triangles)
    expected = box_distance(EVERYWHERE, half)
    assert surface.distances(EVERYWHERE) == pytest.approx(np.abs(expected), abs=1e-12)
    assert surface.distances(EVERYWHERE, 0.1) == pytest.approx(np.minimum(np.abs(expected), 0.1), abs=1e-12)
    assert surface.windings(EVERYWHERE) == pytest.approx((expected < 0).astype(float), abs=1e-9)


def test_distances_and_windings_of_a_sphere() -> None:
    sphere = trimesh.creation.icosphere(3, radius=0.7)  # lies up to 0.003 within the true sphere
    surface = Surface(sphere.triangles)
    expected = np.linalg.norm(EVERYWHERE, axis=1) - 0.7
    assert np.abs(surface.distances(EVERYWHERE) - np.abs(expected)).max() < 0.005
    clear = np.abs(expected) > 0.005
    assert np.array_equal(surface.windings(EVERYWHERE)[clear] > 0.5, (expected < 0)[clear])
    inverted = Surface(sphere.triangles[:, ::-1])
    assert np.array_equal(inverted.windings(EVERYWHERE)[clear] < -0.5, (expected < 0)[clear])


def test_the_tree_finds_what_looking_at_every_triangle_finds() -> None:
    torus = trimesh.creation.torus(0.6, 0.25, major_sections=40, minor_sections=20)
    mixed = np.concatenate([torus.triangles, trimesh.creation.box(extents=[2, 2, 0.3]).triangles])  # and intersecting
    surface, points = Surface(mixed), EVERYWHERE[:500]
    assert surface.distances(points) == pytest.approx(np.sqrt(squared_distances(points, mixed).min(1)), abs=1e-9)
    exact = solid_angles(points, mixed).sum(1) / (4 * math.pi)
    assert np.abs(exact - exact.round()).max() < 1e-9
    assert set(exact.round().astype(int)) == {0, 1, 2}
    assert np.abs(surface.windings(points) - exact).max() < 0.15


def test_degenerate_triangles_have_distances() -> None:
    needle = np.array([[[0, 0, 0], [1, 0, 0], [2, 0, 0]], [[0, 0, 0], [0, 0, 0], [0, 0, 0]]], dtype=float)
    found = np.sqrt(squared_distances(np.array([[1.5, 2, 0], [-3, 4, 0]]), needle))
    assert found == pytest.approx(np.array([[2, 2.5], [5, 5]]))


@pytest.mark.parametrize("suffix", [".obj", ".ply", ".stl", ".off"])
def test_meshes_are_centred_and_scaled(tmp_path: Path, suffix: str) -> None:
    box = trimesh.creation.box(extents=[4, 2, 1])
    box.apply_translation([50, -20, 7])
    one = kind(truncation=0.2)
    signal = load_one(one, box, tmp_path / f"box{suffix}")
    assert signal.name == "box"
    look = one.observe(signal)
    points = look["coordinates"].double().numpy()
    assert points.shape == (4000, 3)
    assert np.abs(points).max() <= 1
    expected = np.clip(box_distance(points, (0.8, 0.4, 0.2)) / 0.2, -1, 1)  # in units of the truncation
    assert look["values"][:, 0].numpy() == pytest.approx(expected, abs=2e-5)
    near = np.abs(expected) < 1
    assert near[:2000].mean() > 0.9
    assert near[2000:].mean() < 0.5
    judged = one.judged(signal)
    inside = box_distance(judged["coordinates"].double().numpy(), (0.8, 0.4, 0.2)) < 0
    assert np.array_equal(judged["values"][:, 0].numpy() > 0.5, inside)
    assert not {*map(tuple, judged["coordinates"].tolist())} & {*map(tuple, look["coordinates"].tolist())}
    which = torch.tensor([5, 3999, 5])
    assert torch.equal(one.observe(signal, which)["values"], look["values"][which])


def test_occupancy_is_a_logit(tmp_path: Path) -> None:
    one = kind(target="occupancy", points=500)
    signal = load_one(one, trimesh.creation.icosphere(4), tmp_path / "s.ply")
    look = one.observe(signal)
    inside = look["coordinates"].norm(dim=1) < 0.8
    assert float((look["values"][:, 0] == inside).float().mean()) > 0.97  # the mesh lies within the sphere
    batch = {"values": torch.tensor([[[1.0], [0.0]]])}
    found = one.loss(torch.tensor([[[2.0], [2.0]]]), batch)
    assert float(found) == pytest.approx((math.log1p(math.exp(-2)) + math.log1p(math.exp(2))) / 2)


def test_the_seed_decides_the_points(tmp_path: Path) -> None:
    mesh = trimesh.creation.icosphere(1)
    looks = [load_one(kind(points=50, seed=s), mesh, tmp_path / "s.obj").data["learned"] for s in (3, 3, 4)]
    assert torch.equal(looks[0]["coordinates"], looks[1]["coordinates"])
    assert not torch.equal(looks[0]["coordinates"], looks[2]["coordinates"])


def test_iou_counts_both_kinds_of_mistake() -> None:
    batch = {
        "coordinates": torch.zeros(2, 6, 3),
        "values": torch.tensor([1.0, 1, 1, 0, 0, 0]).view(1, 6, 1).repeat(2, 1, 1),
    }
    said = torch.tensor([[1.0, 1, -1, 1, -1, -1], [1, 1, 1, -1, -1, -1]]).unsqueeze(2)
    assert kind(target="occupancy").score(lambda x: said, batch).tolist() == [0.5, 1.0]
    assert kind().score(lambda x: -said, batch).tolist() == [0.5, 1.0]
    assert kind().score(lambda x: said, batch).tolist() == [pytest.approx(1 / 5), 0.0]


def test_surfaces_are_where_the_field_changes_its_sign(tmp_path: Path) -> None:
    for target, sign in (("sdf", 1), ("occupancy", -1)):
        one = kind(target=target)
        mesh = one.render(
            lambda x, s=sign: s * (x[..., :1].abs().maximum(x.norm(dim=-1, keepdim=True)) - 0.7), [48] * 3
        )
        assert mesh.is_watertight
        assert np.linalg.norm(mesh.vertices, axis=1) == pytest.approx(0.7, abs=0.002)
        assert mesh.volume == pytest.approx(4 / 3 * math.pi * 0.7**3, rel=0.01)  # positive: normals point outwards
        for suffix in one.suffixes:
            one.save(mesh, tmp_path / f"m{suffix}", [48] * 3)
            assert trimesh.load_mesh(tmp_path / f"m{suffix}").volume == pytest.approx(mesh.volume, rel=1e-5)


def test_axes_are_not_exchanged() -> None:
    half = torch.tensor([0.7, 0.5, 0.3])
    mesh = kind().render(lambda x: (x.abs() - half).amax(-1, keepdim=True), [40] * 3, 30)
    assert mesh.bounds[1].tolist() == pytest.approx(half.tolist(), abs=0.01)


def test_fields_without_a_surface_are_refused() -> None:
    one = kind()
    text = "the field has no surface: on a grid of 8^3 its values lie from 2 to 2"
    refused(InputError, lambda: one.render(lambda x: torch.full((*x.shape[:2], 1), 2.0), [8] * 3), text)
    refused(InputError, lambda: one.render(lambda x: torch.full((*x.shape[:2], 1), math.nan), [8] * 3), "nan")
    refused(UsageError, lambda: one.render(lambda x: x[..., :1], [8] * 3, 2000), "from 2 to 1024, not 2000")


@pytest.mark.parametrize("target", ["sdf", "occupancy"])
def test_a_field_learns_a_shape(tmp_path: Path, target: str) -> None:
    one = kind(target=target)
    signal = load_one(one, trimesh.creation.icosphere(2), tmp_path / "s.obj")
    field = small_field(one, first_frequency=5, frequency=5)
    evaluate, score = fitted(one, signal, field, 200, 5e-3, 1000)
    assert score > 0.95
    assert float(one.score(lambda x: torch.ones(1, 4000, 1), {n: v[None] for n, v in one.judged(signal).items()})) < 0.3
    assert one.render(evaluate, [24] * 3).volume == pytest.approx(4 / 3 * math.pi * 0.8**3, rel=0.1)


@pytest.mark.parametrize("target", ["sdf", "occupancy"])
def test_losses_do_not_depend_on_the_parts(tmp_path: Path, target: str) -> None:
    one = kind(target=target, points=40)
    meshes_ = [trimesh.creation.icosphere(1), trimesh.creation.box(), trimesh.creation.cylinder(1, 3)]
    agree_in_parts(one, [load_one(one, m, tmp_path / "m.obj") for m in meshes_])
