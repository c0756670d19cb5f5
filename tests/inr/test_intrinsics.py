"""Lenses of transforms files: what is a centred pinhole gives its angle, and what is none is refused by name."""

from __future__ import annotations

import json
import math
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.inr.balls import ANGLE, around, kind, write_scene
from tests.inr.fields import refused
from weightgen.errors import InputError
from weightgen.inr.signals.intrinsics import DISTORTION, field_of_view
from weightgen.inr.signals.scenes import read_cameras

FOCAL = 1111.111  # of nerf-synthetic: 800 pixels that see 0.6911 radians
SQUARE = {"fl_x": FOCAL, "fl_y": FOCAL, "w": 800, "h": 800}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"fl_x": FOCAL, "w": 800}, 0.6911),
        ({"fl_x": 600, "w": 1200}, math.pi / 2),
        ({"fl_x": 600, "w": 1200, "camera_angle_x": 1.571}, math.pi / 2),
        ({"camera_angle_x": 0.6911}, 0.6911),
        ({"camera_angle_x": 0.6911, "fl_x": 5}, 0.6911),  # of how many pixels is not said
        ({"camera_angle_x": 3, "w": 800}, 3),
        ({"camera_angle_x": 1, "fl_x": None, "cx": None, "k1": None, "camera_model": None, "is_fisheye": None}, 1),
        ({**SQUARE, "cx": 400, "cy": 400}, 0.6911),
        ({**SQUARE, "cx": 399.5, "cy": 400.9}, 0.6911),
        ({**SQUARE, "cx": 401, "cy": 399}, 0.6911),
        ({"camera_angle_x": 1, "w": 9, "cx": 4.5}, 1),
        ({"camera_angle_x": 1, "h": 9, "cy": 4}, 1),
        ({**SQUARE, "camera_angle_y": 0.6911}, 0.6911),
        ({"camera_angle_x": math.pi / 2, "camera_angle_y": 2 * math.atan(0.5), "w": 800, "h": 400}, math.pi / 2),
        ({**SQUARE, "fl_y": FOCAL * 1.005}, 0.6911),
        ({**SQUARE, "camera_model": "OPENCV", **dict.fromkeys(DISTORTION, 0)}, 0.6911),
        ({**SQUARE, "camera_model": "opencv", "k1": 0.0, "is_fisheye": False}, 0.6911),
        *[({**SQUARE, "camera_model": name}, 0.6911) for name in ("PINHOLE", "SIMPLE_PINHOLE", "PERSPECTIVE", "")],
    ],
)
def test_what_a_centred_pinhole_sees(values: dict[str, Any], expected: float) -> None:
    assert field_of_view(values, "here") == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, "expected a camera_angle_x between 0 and pi, found none.\nfl_x with w, both in pixels, would do as well."),
        ({"fl_x": FOCAL}, "found none.\nfl_x with w"),
        ({"w": 800, "h": 800}, "found none.\nfl_x with w"),
        ({**SQUARE, "cx": 402}, "cx 402 of w 800: a principal point off the middle"),
        ({**SQUARE, "cx": 398.9, "cy": 400}, "cx 398.9 of w 800"),
        ({**SQUARE, "cy": 0}, "cy 0 of h 800: a principal point off the middle"),
        ({"camera_angle_x": 1, "cx": 400}, "cx 400 says nothing without w. Add w, in pixels."),
        ({"camera_angle_x": 1, "w": 800, "cx": 400, "cy": 300}, "cy 300 says nothing without h"),
        *[({**SQUARE, word: 0.01}, f"its lens is distorted ({word} 0.01)") for word in DISTORTION],
        ({**SQUARE, "k2": -1e-4, "p1": 2}, "its lens is distorted (k2 -0.0001, p1 2)"),
        ({**SQUARE, "camera_model": "OPENCV", "k1": 0.1}, "its lens is distorted (k1 0.1)"),
        ({**SQUARE, "camera_model": "OPENCV_FISHEYE"}, "camera_model 'OPENCV_FISHEYE': only pinhole cameras"),
        ({**SQUARE, "camera_model": "EQUIRECTANGULAR"}, "camera_model 'EQUIRECTANGULAR': only pinhole cameras"),
        ({**SQUARE, "camera_model": ["PINHOLE"]}, "camera_model ['PINHOLE']: only pinhole cameras"),
        ({**SQUARE, "camera_model": "x\x1b[2J"}, "only pinhole cameras are modelled"),
        ({**SQUARE, "is_fisheye": True}, "is_fisheye: only pinhole cameras are modelled"),
        ({"camera_angle_x": 1, "is_fisheye": True, "camera_model": "OPENCV"}, "is_fisheye: only pinhole"),
        ({**SQUARE, "fl_y": 900}, "focal lengths of 1111.11 and 900 pixels along x and y"),
        ({"camera_angle_x": math.pi / 2, "w": 800, "fl_y": 500}, "focal lengths of 400 and 500 pixels"),
        ({"camera_angle_x": 0.6911, "camera_angle_y": 0.9, "w": 800, "h": 800}, "focal lengths of 1111.1"),
        ({"fl_x": FOCAL, "w": 800, "h": 800, "camera_angle_y": 0.9}, "focal lengths of 1111.11 and 828.0"),
        ({**SQUARE, "camera_angle_y": 0.9}, "fl_y 1111.11 and h 800 make an angle of 0.6911, camera_angle_y is 0.9"),
        ({**SQUARE, "camera_angle_x": 0.9}, "fl_x 1111.11 and w 800 make an angle of 0.6911, camera_angle_x is 0.9"),
        ({"fl_x": FOCAL, "w": 1600, "camera_angle_x": 0.6911}, "w 1600 make an angle of"),
        ({"fl_x": 1e308, "w": 800}, "fl_x"),  # an angle that no number can be told from zero
        ({"fl_x": 1e-308, "w": 800}, "fl_x"),
    ],
)
def test_what_is_no_centred_pinhole_is_refused(values: dict[str, Any], expected: str) -> None:
    refused(InputError, lambda: field_of_view(values, "here"), "here: ", expected)


@pytest.mark.parametrize("word", ["fl_x", "fl_y", "w", "h"])
@pytest.mark.parametrize("value", ["800", math.nan, math.inf, 0, -800, True, [800], {"x": 1}, 10**400])
def test_sizes_are_positive_numbers(word: str, value: object) -> None:
    call = partial(field_of_view, {**SQUARE, word: value}, "here")
    refused(InputError, call, f"here: expected a positive number for {word}, found ", repr(value)[:20])


@pytest.mark.parametrize("word", ["cx", "cy", *DISTORTION])
@pytest.mark.parametrize("value", ["0", "\x1b[2J", math.nan, -math.inf, False, [0], 10**400])
def test_other_words_are_numbers(word: str, value: object) -> None:
    refused(InputError, lambda: field_of_view({**SQUARE, word: value}, "here"), f"here: expected a number for {word}")


@pytest.mark.parametrize("value", ["0.7", math.nan, math.inf, 0, -0.7, math.pi, 40, True, [0.7], 10**400])
def test_an_angle_lies_between_zero_and_pi(value: object) -> None:
    for word, more in (("camera_angle_x", {}), ("camera_angle_x", SQUARE), ("camera_angle_y", SQUARE)):
        call = partial(field_of_view, {**more, word: value}, "here")
        refused(InputError, call, f"here: expected a {word} between 0 and pi, found ", repr(value)[:20])


def scene(folder: Path, *frames: dict[str, Any], **words: Any) -> Path:
    """Write a scene of so many frames with words of their own, and words of the file; None takes a word away."""
    write_scene(folder, around(len(frames)))
    file = folder / "transforms.json"
    values = json.loads(file.read_text()) | words
    values = {k: v for k, v in values.items() if v is not None}
    values["frames"] = [old | new for old, new in zip(values["frames"], frames, strict=True)]
    file.write_text(json.dumps(values))
    return file


def test_a_focal_length_is_an_angle(tmp_path: Path) -> None:
    focal = 12 / 2 / math.tan(ANGLE / 2)
    file = scene(tmp_path, {}, {}, camera_angle_x=None, fl_x=focal, fl_y=focal, w=12, h=10, cx=6, cy=5)
    assert read_cameras(file)[0] == pytest.approx(ANGLE)
    found = kind()
    (signal,) = found.load(str(tmp_path))
    write_scene(tmp_path / "plain", around(2))
    (plain,) = found.load(str(tmp_path / "plain"))
    rays, expected = (found.observe(s)["coordinates"] for s in (signal, plain))
    assert torch.allclose(rays, expected, atol=1e-5)


def test_a_scene_whose_files_see_unlike_angles(tmp_path: Path) -> None:
    scene(tmp_path, {}, {})
    (tmp_path / "transforms.json").rename(tmp_path / "transforms_train.json")
    scene(tmp_path, {}, {}, camera_angle_x=0.5)
    (tmp_path / "transforms.json").rename(tmp_path / "transforms_test.json")
    (signal,) = kind().load(str(tmp_path))
    assert (signal.data.learned.angle, signal.data.held_out.angle) == (ANGLE, 0.5)


def test_lenses_of_frames_that_are_alike(tmp_path: Path) -> None:
    focal = 12 / 2 / math.tan(0.5 / 2)
    own = {"fl_x": focal, "fl_y": focal, "w": 12, "h": 10, "cx": 6, "cy": 5, "k1": 0}
    assert read_cameras(scene(tmp_path, own, own, own, camera_angle_x=None))[0] == pytest.approx(0.5)
    one = scene(tmp_path, {"camera_angle_x": 0.5}, {"camera_angle_x": 0.502}, {"camera_angle_x": 0.498})
    assert read_cameras(one)[0] == 0.5  # which goes before the file's
    assert read_cameras(scene(tmp_path, {}, {"camera_angle_x": ANGLE}))[0] == ANGLE


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        ({"camera_angle_x": 0.9}, "frame 1 has an angle of 0.9, frame 0 one of 0.8.\nLenses that differ by frame"),
        ({"fl_x": 5, "w": 12}, "frame 1: fl_x 5 and w 12 make an angle of 1.752, camera_angle_x is 0.8"),
        ({"fl_y": 50, "w": 12}, "frame 1: focal lengths of 14.19"),
        ({"k1": 0.1}, "frame 1: its lens is distorted (k1 0.1)"),
        ({"cx": 3, "w": 12}, "frame 1: cx 3 of w 12"),
        ({"camera_model": "OPENCV_FISHEYE"}, "frame 1: camera_model 'OPENCV_FISHEYE'"),
        ({"is_fisheye": True}, "frame 1: is_fisheye"),
        ({"camera_angle_x": "wide"}, "frame 1: expected a camera_angle_x between 0 and pi, found 'wide'"),
        ({"w": -1}, "frame 1: expected a positive number for w, found -1"),
    ],
)
def test_a_frame_with_another_lens_is_named(tmp_path: Path, frame: dict[str, Any], expected: str) -> None:
    file = scene(tmp_path, {}, frame, {})
    refused(InputError, lambda: kind().load(str(tmp_path)), str(file), expected)


def test_the_file_is_named_where_the_lens_is_its_own(tmp_path: Path) -> None:
    file = scene(tmp_path, {}, {}, k3=0.2)
    refused(InputError, lambda: read_cameras(file), f"{file}: its lens is distorted (k3 0.2)")


def test_the_widest_lens_that_is_read_can_be_drawn(tmp_path: Path) -> None:
    scene(tmp_path, {}, {}, camera_angle_x=3.1415)
    found = kind(**kind().own(str(tmp_path)))
    (signal,) = found.load(str(tmp_path))
    assert found.aimed(signal).angle == found.angle == 3.1415
