"""A user's own examples of an edit: images before and after, matched by their names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from weightgen.diffusion.photos import image_files, pixels_of
from weightgen.errors import InputError, UsageError, printable
from weightgen.reading.images import open_image


@dataclass(frozen=True)
class Pair:
    """One image, and what it should become."""

    name: str
    before: Tensor
    """(3, H, W) in [0, 1]."""
    after: Tensor


def read_pairs(directory: Path) -> list[Pair]:
    """Return the pairs of a folder with the folders `before` and `after`, in the order of their names.

    Raises UsageError where there are no such folders, InputError naming an image that has no partner, or another size.
    """
    shown = printable(str(directory))
    folders = directory / "before", directory / "after"
    missing = next((f.name for f in folders if not f.is_dir()), None)
    if missing is not None:
        raise UsageError(f"{shown}: no folder '{missing}' here; pairs are images of one name in before/ and after/")
    before, after = ({file.stem: file for file in image_files(folder)} for folder in folders)
    alone = next((name for name in sorted({*before} ^ {*after})), None)
    if alone is not None:
        here, there = ("before", "after") if alone in before else ("after", "before")
        raise InputError(f"{shown}: {here}/{printable(alone)} has no partner of that name in {there}/")
    if not before:
        raise InputError(f"{shown}: expected images in before/ and after/, found none")
    return [_pair(name, before[name], after[name]) for name in sorted(before)]


def _pair(name: str, before: Path, after: Path) -> Pair:
    first, second = pixels_of(open_image(before)), pixels_of(open_image(after))
    if first.shape != second.shape:
        sizes = " and ".join(f"{t.shape[2]} x {t.shape[1]}" for t in (first, second))
        raise InputError(
            f"{printable(str(before))} and {printable(str(after))}: {sizes} pixels.\n"
            "Both must show the same at the same place: crop or scale one of them."
        )
    return Pair(name, first, second)
