"""Files of meshes: open, broken, textured and hostile ones."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import trimesh

from tests.inr.fields import refused
from tests.inr.test_shapes import kind
from weightgen.errors import InputError
from weightgen.inr.signals import meshes
from weightgen.inr.signals.meshes import read_triangles

TRIANGLE = "v 0 0 0\nv 1 0 0\nv 0 1 0\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "holds no triangles, expected a closed mesh"),
        (TRIANGLE, "holds no triangles, expected a closed mesh"),
        ("f 1 2 x\n\0\0", "a.obj: "),
        (TRIANGLE + "f 1 2 99999999\n", "is no mesh that can be read (IndexError"),
        (TRIANGLE + "f 1 2 3\n", "is not closed: 3 of its 3 edges do not join two triangles"),
        (TRIANGLE + "f 1 2 3\nf 3 2 1\n", "encloses no volume, expected a solid shape"),
        (TRIANGLE + "f 1 1 1\n", "encloses no volume"),
        (TRIANGLE.replace("1", "1e300") + "f 1 2 3\n", "has vertices that are not finite, or beyond 1e+30"),
        (TRIANGLE.replace("1", "nan") + "f 1 2 3\n", "has vertices that are not finite"),
    ],
)
def test_what_is_no_closed_mesh_is_refused(tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "a.obj").write_text(text)
    refused(InputError, lambda: kind().load(str(tmp_path)), "a.obj: ", expected)


def test_holes_and_flipped_triangles_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sphere = trimesh.creation.icosphere(1)
    file = tmp_path / "a.ply"

    def load() -> None:
        kind(points=50).load(str(file))

    trimesh.Trimesh(sphere.vertices, sphere.faces[1:], process=False).export(file)
    refused(InputError, load, "is not closed: 3 of its 120 edges", "Repair it first")
    flipped = sphere.faces.copy()
    flipped[0] = flipped[0][::-1]
    trimesh.Trimesh(sphere.vertices, flipped, process=False).export(file)
    refused(InputError, load, "its triangles disagree about which side is outside")
    raw = bytearray(trimesh.Trimesh(sphere.vertices, sphere.faces).export(file_type="ply"))
    raw[-4:] = b"\xff\xff\xff\x00"
    file.write_bytes(raw)
    refused(InputError, load, "has triangles of vertices that it does not have (42 of them)")
    thin = trimesh.creation.box(extents=[1, 1e-4, 1e-4])
    thin.export(file)
    refused(InputError, load, "none of 50 points around it is inside", "--signal-args points=...")
    monkeypatch.setattr(meshes, "MAX_TRIANGLES", 11)
    refused(InputError, load, "has 12 triangles, expected at most 11. Simplify it first.")
    monkeypatch.setattr(meshes, "MAX_BYTES", 10)
    refused(InputError, load, "has more than 10 bytes")


def test_vertices_that_texture_repeats_are_one(tmp_path: Path) -> None:
    corners = "".join(f"v {x} {y} {z}\n" for x, y, z in trimesh.creation.icosphere(1).triangles.reshape(-1, 3))
    (tmp_path / "a.obj").write_text(corners + "".join(f"f {i} {i + 1} {i + 2}\n" for i in range(1, 240, 3)))
    assert read_triangles(tmp_path / "a.obj").shape == (80, 3, 3)


@pytest.mark.parametrize("suffix", [".obj", ".ply", ".stl", ".off"])
def test_broken_files_never_crash(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"a{suffix}"
    trimesh.creation.icosphere(1).export(file)
    whole, generator = file.read_bytes(), np.random.default_rng(0)
    for i in range(24):
        raw = bytearray(whole)
        if i % 2:
            raw = raw[: generator.integers(len(raw))]
        else:
            for place in generator.integers(len(raw), size=4):
                raw[place] = generator.integers(256)
        file.write_bytes(raw)
        with suppress(InputError):  # where vertices only moved, it is a mesh still
            assert read_triangles(file).shape == (80, 3, 3)


def test_materials_elsewhere_are_not_read(tmp_path: Path) -> None:
    box = trimesh.creation.box()
    (tmp_path / "evil.mtl").write_text("newmtl a\nmap_Kd secret.png\n")
    text = box.export(file_type="obj")
    (tmp_path / "a.obj").write_text("mtllib evil.mtl\nusemtl a\n" + text)
    (tmp_path / "secret.png").write_bytes(b"not a picture")
    assert read_triangles(tmp_path / "a.obj").shape == (12, 3, 3)
