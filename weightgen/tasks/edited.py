"""Photos and what becomes of them: by a concept of the embedded domain, or in a folder of pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from weightgen.diffusion.concepts import Clause
from weightgen.diffusion.edits import EDITS, edit
from weightgen.diffusion.folders import reduced
from weightgen.diffusion.pairs import read_pairs
from weightgen.diffusion.photos import HELD_OUT, Photo, bundled
from weightgen.diffusion.prompt import parse
from weightgen.errors import InputError, UsageError, did_you_mean, printable
from weightgen.models.positions import positions_of
from weightgen.training.task import Batch

CONCEPT = "concept:"
EXAMPLE = f"{CONCEPT}sepia tone, strength 0.7"


@dataclass(frozen=True)
class Shot:
    """A photo, and what it should become where that is not for the clauses to say."""

    photo: Photo
    after: torch.Tensor | None = None
    """(3, H, W) in [0, 1]."""


@dataclass(frozen=True)
class Shots:
    """Photos to train on, and others to judge by."""

    train: tuple[Shot, ...]
    held_out: tuple[Shot, ...]
    clauses: tuple[Clause, ...] = ()


@dataclass(frozen=True)
class Square:
    """Where a crop lies."""

    shot: int
    top: int
    left: int


def load_shots(data: str) -> Shots:
    """Load photos by name: `concept:TEXT`, with edits by their own names, or a folder with `before` and `after`.

    Of a folder every fourth pair, in the order of names, is held out; of fewer the last. Raises UsageError for an
    unknown edit or folder, InputError for photos that are broken, without a partner, or too few.
    """
    if data.startswith(CONCEPT):
        photos, clauses = bundled(), clauses_of(data.removeprefix(CONCEPT))
        return Shots(tuple(map(Shot, photos.train)), tuple(map(Shot, photos.test)), clauses)
    folder = Path(data).expanduser()
    if not folder.is_dir():
        raise UsageError(
            f"'{printable(data)}' is no such directory\n"
            f"Photos to translate are a folder with before/ and after/, or named as in '{EXAMPLE}'."
        )
    pairs = [reduced(pair) for pair in read_pairs(folder)]
    found = [Shot(Photo(p.name, p.before, positions_of(*p.before.shape[1:])), p.after) for p in pairs]
    kept = range(HELD_OUT - 1, len(found), HELD_OUT) or range(len(found) - 1, len(found))
    train = tuple(s for i, s in enumerate(found) if i not in kept)
    if not train:
        raise InputError(f"{printable(data)}: expected at least two pairs: one to train on, one to judge by; found one")
    return Shots(train, tuple(found[i] for i in kept))


def clauses_of(prompt: str) -> tuple[Clause, ...]:
    """Return the clauses of a prompt whose phrases are names of edits; raises UsageError for other phrases."""
    names = {n.lower(): name for name, e in EDITS.items() for n in (name, *e.names)}
    found = []
    for phrase in parse(prompt, names):
        if phrase.text not in names:
            hint = did_you_mean(phrase.text, list(names)) or f" Known are {', '.join(EDITS)}."
            raise UsageError(f"{CONCEPT}{printable(prompt)}: no edit is called '{printable(phrase.text)}'.{hint}")
        found.append(Clause(names[phrase.text], phrase.strength))
    if not found:
        raise UsageError(f"'{CONCEPT}{printable(prompt)}' says no edit: name one, as in '{EXAMPLE}'")
    return tuple(found)


def squares(shots: Sequence[Shot], size: int) -> list[Square]:
    """Return the squares of a grid over the middle of each photo; raises InputError for a photo that is smaller."""
    found = []
    for i, shot in enumerate(shots):
        height, width = shot.photo.image.shape[1:]
        if min(height, width) < size:
            raise InputError(
                f"{printable(shot.photo.name)}: {width} x {height} pixels, smaller than the crops of {size} x {size}.\n"
                "Leave the photo out, or lower --image-size."
            )
        tops, lefts = (range(length % size // 2, length - size + 1, size) for length in (height, width))
        found += [Square(i, top, left) for top in tops for left in lefts]
    return found


def elsewhere(square: Square, shots: Sequence[Shot], size: int, draw: int) -> Square:
    """Return a random square of the same photo, by the seed `draw`."""
    generator = np.random.default_rng(draw)
    height, width = shots[square.shot].photo.image.shape[1:]
    top, left = (int(generator.integers(length - size + 1)) for length in (height, width))
    return Square(square.shot, top, left)


def cut(shots: Sequence[Shot], chosen: Sequence[Square], size: int, clauses: Sequence[Clause]) -> Batch:
    """Return `before`, `after` and `positions` of squares, (squares, 3, size, size) each."""

    def stacked(pictures: Sequence[torch.Tensor]) -> torch.Tensor:
        parts = zip(pictures, chosen, strict=True)
        return torch.stack([p[:, s.top : s.top + size, s.left : s.left + size] for p, s in parts])

    mine = [shots[s.shot] for s in chosen]
    before, positions = stacked([m.photo.image for m in mine]), stacked([m.photo.positions for m in mine])
    given = [m.after for m in mine if m.after is not None]
    # Edited after it was cut: what lies beyond a crop's edge is not for the network to guess.
    after = stacked(given) if given else edit(before, clauses, positions)
    return {"before": before, "after": after, "positions": positions}
