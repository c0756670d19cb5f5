"""What is no scene, or does not fit its conventions, is refused."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.inr.balls import around, kind, write_scene
from tests.inr.fields import refused
from weightgen.errors import InputError, UsageError
from weightgen.inr.signals import scenes


def changed(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        values = json.loads((folder / "transforms.json").read_text())
        change(values)
        (folder / "transforms.json").write_text(json.dumps(values))

    return write


def frame(**words: object) -> Callable[[Path], None]:
    return changed(lambda v: v["frames"][1].update(words))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            lambda f: (f / "transforms.json").unlink(),
            "expected scenes with poses (transforms_train.json or transforms.json)",
        ),
        (lambda f: (f / "transforms.json").rename(f / "poses.json"), "found other .json files only"),
        (lambda f: (f / "transforms.json").write_text("{"), "transforms.json: not valid JSON"),
        (lambda f: (f / "transforms.json").write_text("[]"), "expected a JSON object"),
        (lambda f: (f / "transforms.json").write_text("[" * 100000), "not valid JSON"),
        (changed(lambda v: v.pop("camera_angle_x")), "expected a camera_angle_x between 0 and pi, found none"),
        (changed(lambda v: v.update(camera_angle_x="wide")), "found 'wide'"),
        (changed(lambda v: v.update(camera_angle_x=10**400)), "expected a camera_angle_x between 0 and pi"),
        (changed(lambda v: v.pop("frames")), "expected a list of frames with poses, found none"),
        (changed(lambda v: v.update(frames=[])), "expected a list of frames with poses, found []"),
        (
            changed(lambda v: v.update(frames=["x", "y"])),
            "frame 0: expected a transform_matrix of 4 x 4 numbers, found none",
        ),
        (
            changed(lambda v: v.update(frames=v["frames"][:1])),
            "has 1 frame, expected 2 or more, or a transforms_test.json",
        ),
        (changed(lambda v: v["frames"][1].pop("transform_matrix")), "frame 1: expected a transform_matrix"),
        (
            frame(transform_matrix=np.eye(3).tolist()),
            "frame 1: expected a transform_matrix of 4 x 4 numbers, found [[1.0",
        ),
        (frame(transform_matrix=[[math.nan] * 4] * 4), "frame 1: expected a transform_matrix of 4 x 4 numbers"),
        (frame(transform_matrix=[["1"] * 4] * 4), "frame 1: expected a transform_matrix of 4 x 4 numbers"),
        (changed(lambda v: v["frames"][1].pop("file_path")), "frame 1: expected the file_path of an image, found none"),
        (frame(file_path=7), "frame 1: expected the file_path of an image, found 7"),
        (frame(file_path="a\0b"), r"frame 1: its image"),
        (frame(file_path="\ud800"), r"frame 1: its image"),
        (frame(file_path="../../etc/passwd"), "frame 1: '../../etc/passwd' leaves the scene's folder"),
        (
            frame(file_path="/etc/passwd"),
            "frame 1: '/etc/passwd' leaves the scene's folder. Nothing outside it is read.",
        ),
        (frame(file_path="./a/../../x.png"), "leaves the scene's folder"),
        (frame(file_path="a\x1b[2Jb"), "frame 1: its image"),
        (frame(file_path="."), "frame 1: its image"),
        (frame(file_path="x" * 5000), "frame 1: its image"),
        (lambda f: (f / "transforms" / "r_1.png").unlink(), "is missing"),
        (lambda f: (f / "transforms" / "r_1.png").write_bytes(b"x"), "r_1.png: is no image that can be read"),
        (
            lambda f: Image.new("RGB", (9, 7)).save(f / "transforms" / "r_1.png"),
            "is 9 x 7 pixels, expected 12 x 10 as r_0.png",
        ),
    ],
)
def test_what_is_no_scene_is_refused(tmp_path: Path, change: Callable[[Path], None], expected: str) -> None:
    folder = write_scene(tmp_path, around(2))
    kind().load(str(folder))
    change(folder)
    refused(InputError, lambda: kind().load(str(folder)), expected)


def test_what_does_not_fit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_scene(tmp_path, around(4))
    refused(InputError, lambda: kind(views=4).load(str(folder)), "has 3 views to learn from, expected 4 or more")
    refused(UsageError, lambda: kind(near=3, far=3), "--signal-args", "near is not less than far")
    refused(UsageError, lambda: kind(pose=[[math.nan] * 4] * 4), "pose")
    refused(UsageError, lambda: kind().load(str(tmp_path / "no")), "no such file or directory")
    monkeypatch.setattr(scenes, "MAX_BYTES", 4 * 360 - 1)
    refused(InputError, lambda: kind().load(str(folder)), "its 4 images have more than 1439 bytes", "downscale=2")
    kind(downscale=2).load(str(folder))
