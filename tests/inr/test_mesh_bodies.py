"""Meshes of several bodies: each is turned the right way out by itself, and a cavity stays one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh

from tests.inr.fields import refused
from weightgen.errors import InputError
from weightgen.inr.signals.bodies import bodies_of
from weightgen.inr.signals.meshes import read_triangles
from weightgen.inr.signals.triangles import Surface


def ball(x: float, radius: float, inside_out: bool = False) -> trimesh.Trimesh:
    found = trimesh.creation.icosphere(2, radius)
    found.apply_translation([x, 0, 0])
    if inside_out:
        found.invert()
    return found


def is_inside(tmp_path: Path, bodies: list[trimesh.Trimesh], places: list[float]) -> list[bool]:
    file = tmp_path / "bodies.ply"
    trimesh.util.concatenate(bodies).export(file)
    windings = Surface(read_triangles(file)).windings(np.array([[x, 0.01, 0.02] for x in places]))
    return [bool(w) for w in np.abs(windings) > 0.5]


@pytest.mark.parametrize("flip", [False, True])
def test_bodies_that_disagree_are_all_solid(tmp_path: Path, flip: bool) -> None:
    apart = [ball(0, 1, flip), ball(3, 0.5, not flip)]
    assert is_inside(tmp_path, apart, [0, 3, 1.8]) == [True, True, False]
    equal = [ball(0, 1, flip), ball(3, 1, not flip)]  # whose volumes cancel
    assert is_inside(tmp_path, equal, [0, 3, 1.5]) == [True, True, False]


@pytest.mark.parametrize("flip", [False, True])
def test_a_cavity_stays_hollow(tmp_path: Path, flip: bool) -> None:
    hollow = [ball(0, 1, flip), ball(0, 0.5, not flip), ball(3, 0.3, not flip)]
    assert is_inside(tmp_path, hollow, [0, 0.75, 3, 2]) == [False, True, True, False]


def test_a_body_within_another_of_the_same_side_is_solid(tmp_path: Path) -> None:
    assert is_inside(tmp_path, [ball(0, 1), ball(0, 0.5)], [0, 0.75, 1.5]) == [True, True, False]


def test_bodies_that_touch_in_a_point_are_two() -> None:
    faces = np.array([[0, 1, 2], [0, 2, 3], [0, 3, 1], [1, 3, 2], [0, 4, 5], [0, 5, 6], [0, 6, 4], [4, 6, 5]])
    assert bodies_of(faces).tolist() == [0, 0, 0, 0, 1, 1, 1, 1]


def test_the_body_that_is_open_is_counted(tmp_path: Path) -> None:
    torn = ball(3, 0.5)
    torn.update_faces(np.arange(len(torn.faces)) > 0)
    file = tmp_path / "torn.ply"
    trimesh.util.concatenate([ball(0, 1), torn]).export(file)
    refused(InputError, lambda: read_triangles(file), "in 1 of its 2 bodies", "Repair it first")


def test_a_flat_body_beside_a_solid_one_encloses_nothing(tmp_path: Path) -> None:
    sheet = trimesh.Trimesh([[3, 0, 0], [4, 0, 0], [3, 1, 0]], [[0, 1, 2], [0, 2, 1]], process=False)
    file = tmp_path / "flat.ply"
    sheet.export(file)
    refused(InputError, lambda: read_triangles(file), "encloses no volume")
