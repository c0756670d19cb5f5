"""The lens that a transforms file describes: a centred pinhole, or a refusal that names what is none."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from weightgen.errors import InputError, printable

PINHOLES = ("", "PINHOLE", "SIMPLE_PINHOLE", "OPENCV", "PERSPECTIVE")  # the last two may be distorted: see DISTORTION
DISTORTION = ("k1", "k2", "k3", "k4", "k5", "k6", "p1", "p2")
LENS = ("camera_model", "is_fisheye", "camera_angle_x", "camera_angle_y", "fl_x", "fl_y", "cx", "cy", "w", "h")
EQUAL = 0.01  # relative: focal lengths and angles are written with few digits
PIXEL = 1.0  # the centre of an image is w / 2 to some, (w - 1) / 2 to others


def field_of_view(values: Mapping[str, Any], where: str) -> float:
    """Return the horizontal field of view in radians of a transforms file's (or a frame's) entries.

    `fl_x` with `w`, in pixels, gives it, or `camera_angle_x`. Raises InputError, beginning with `where`, for what is no
    centred pinhole with square pixels, and for numbers that contradict each other.
    """
    numbers = {word: _number(values, word, where) for word in (*LENS[2:], *DISTORTION)}
    _refuse_others(values, numbers, where)
    angle = _angle(values, numbers, ("camera_angle_x", "fl_x", "w"), where)
    _angle(values, numbers, ("camera_angle_y", "fl_y", "h"), where)
    if angle is None:
        found = _short(values, "camera_angle_x")
        raise InputError(
            f"{where}: expected a camera_angle_x between 0 and pi, found {found}.\n"
            "fl_x with w, both in pixels, would do as well."
        )
    _refuse_oblong(numbers, angle, where)
    return angle


def _angle(
    values: Mapping[str, Any], numbers: Mapping[str, float | None], words: tuple[str, str, str], where: str
) -> float | None:
    """Return the angle along one side from its own word, or from a focal length and the side; None without either."""
    angle, focal, size = (numbers[word] for word in words)
    if angle is not None and not 0 < angle < math.pi:
        raise InputError(f"{where}: expected a {words[0]} between 0 and pi, found {_short(values, words[0])}")
    if focal is None or size is None:
        return angle
    seen = 2 * math.atan(size / (2 * focal))
    told = f"{where}: {words[1]} {focal:g} and {words[2]} {size:g} make an angle of {seen:.4g}"
    if angle is not None and not math.isclose(seen, angle, rel_tol=EQUAL):
        raise InputError(f"{told}, {words[0]} is {angle:.4g}.\nLeave out the one that is wrong.")
    if not 0 < seen < math.pi:
        raise InputError(f"{told}, expected one between 0 and pi. Both are in pixels.")
    return seen


def _refuse_others(values: Mapping[str, Any], numbers: Mapping[str, float | None], where: str) -> None:
    model = values.get("camera_model")
    model = "" if model is None else model
    if str(model).upper() not in PINHOLES or values.get("is_fisheye"):
        name = "is_fisheye" if values.get("is_fisheye") else f"camera_model {printable(repr(model), 40)}"
        raise InputError(f"{where}: {name}: only pinhole cameras are modelled. Undistort the images to one first.")
    bent = [f"{word} {numbers[word]:g}" for word in DISTORTION if numbers[word]]
    if bent:
        raise InputError(
            f"{where}: its lens is distorted ({', '.join(bent)}), which is not modelled.\n"
            "Undistort the images first (COLMAP: image_undistorter), and leave these words out."
        )
    for centre, side in (("cx", "w"), ("cy", "h")):
        place, size = numbers[centre], numbers[side]
        if place is None:
            continue
        if size is None:
            raise InputError(f"{where}: {centre} {place:g} says nothing without {side}. Add {side}, in pixels.")
        if abs(place - size / 2) > PIXEL:
            raise InputError(
                f"{where}: {centre} {place:g} of {side} {size:g}: a principal point off the middle is not modelled.\n"
                f"Crop the images so that it is {size / 2:g} of {size:g}."
            )


def _refuse_oblong(numbers: Mapping[str, float | None], angle: float, where: str) -> None:
    """Refuse pixels that are not square: another focal length, in pixels, along y than along x."""
    width, height, upright = numbers["w"], numbers["h"], numbers["fl_y"]
    level = numbers["fl_x"] or (None if width is None else width / (2 * math.tan(angle / 2)))
    high = numbers["camera_angle_y"]
    if upright is None and high is not None and height is not None:
        upright = height / (2 * math.tan(high / 2))
    if level is not None and upright is not None and not math.isclose(level, upright, rel_tol=EQUAL):
        raise InputError(
            f"{where}: focal lengths of {level:g} and {upright:g} pixels along x and y: pixels that are not square\n"
            "are not modelled. Resize the images so that the two are equal."
        )


def _number(values: Mapping[str, Any], word: str, where: str) -> float | None:
    """Return a number, finite but for the angle, positive where it is a size; None where there is none."""
    if values.get(word) is None:
        return None
    found = json_number(values[word])
    size = word in ("fl_x", "fl_y", "w", "h")
    if not word.startswith("camera_angle") and (not math.isfinite(found) or (size and found <= 0)):
        what = "a positive number" if size else "a number"
        raise InputError(f"{where}: expected {what} for {word}, found {_short(values, word)}")
    return found


def json_number(value: Any) -> float:
    """Return a JSON number; NaN for anything else."""
    try:
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    except OverflowError:
        return math.nan


def _short(values: Mapping[str, Any], word: str) -> str:
    return printable(repr(values[word]), 60) if word in values else "none"
