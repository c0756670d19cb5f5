"""A user's own concepts: concepts/NAME/before/*.png, concepts/NAME/after/*.png and concepts/NAME/prompt.txt."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from weightgen.diffusion.asking import check_askable
from weightgen.diffusion.concepts import Concept
from weightgen.diffusion.examples import Examples
from weightgen.diffusion.pairs import Pair, read_pairs
from weightgen.diffusion.photos import HELD_OUT, LONGEST, check_size, cut
from weightgen.errors import InputError, UsageError, printable
from weightgen.models.positions import positions_of
from weightgen.reading.files import read_small
from weightgen.training.task import Batch

PROMPT, MAX_PROMPT = "prompt.txt", 1 << 16  # bytes
MANY = 1 << 30


class Paired(Examples):
    """Concepts that are shown by pairs of photos, each concept by its own."""

    def __init__(self, concepts: Sequence[Concept], pairs: Sequence[Sequence[Pair]]) -> None:
        """`pairs` of each concept: every fourth is kept for `test`; of fewer the last is, and it is trained on, too."""
        self.concepts, self.pairs = tuple(concepts), [tuple(p) for p in pairs]

    def only(self, which: Sequence[int]) -> Paired:
        return Paired([self.concepts[i] for i in which], [self.pairs[i] for i in which])

    def check(self, size: int) -> None:
        for concept, pairs in zip(self.concepts, self.pairs, strict=True):
            for pair in pairs:
                check_size(pair.before, size, f"{concept.name}/{pair.name}")

    def draw(self, seeds: Sequence[int], size: int) -> Batch:
        return self._crops([_split(pairs)[0] for pairs in self.pairs], seeds, size)

    def test(self, count: int, size: int) -> Batch:
        held_out = [_split(pairs)[1] for pairs in self.pairs]
        smallest = min(min(pair.before.shape[1:]) for pairs in held_out for pair in pairs)
        return self._crops(held_out, range(count), min(size, smallest))

    def targets(self, batch: Batch) -> Tensor:
        found: Tensor = batch["targets"]
        return found

    def _crops(self, pairs: Sequence[Sequence[Pair]], seeds: Sequence[int], size: int) -> Batch:
        names = [concept.name for concept in self.concepts]
        found = [[_cut(own, name, seed, size) for seed in seeds] for name, own in zip(names, pairs, strict=True)]
        keys = ("images", "positions", "targets")
        return {key: torch.stack([torch.stack([c[i] for c in of]) for of in found]) for i, key in enumerate(keys)}


def load_concepts(directory: Path) -> Paired:
    """Return the concepts of a directory.

    Raises UsageError where there is no such directory, InputError where a concept has no prompt, and what `read_pairs`
    raises.
    """
    shown = printable(str(directory))
    if not directory.is_dir():
        raise UsageError(f"{shown}: no such directory of concepts")
    folders = sorted(d for d in directory.iterdir() if d.is_dir() and not d.name.startswith("."))
    if not folders:
        raise InputError(f"{shown}: expected concepts as NAME/before, NAME/after and NAME/{PROMPT}, found none")
    odd = next((d for d in folders if not d.name.isprintable()), None)
    if odd is not None:
        raise InputError(f"{printable(str(odd))}: expected a name that can be printed. Rename it.")
    concepts = [Concept(d.name, (), read_captions(d / PROMPT)) for d in folders]
    check_askable(concepts, str(directory))
    return Paired(concepts, [[reduced(pair) for pair in read_pairs(d)] for d in folders])


def read_captions(file: Path) -> tuple[str, ...]:
    """Return the captions of a text file, one a line; raises InputError where there is none."""
    try:
        lines = read_small(file, MAX_PROMPT).decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{printable(str(file))}: expected UTF-8 text") from error
    found = tuple(dict.fromkeys(line.strip() for line in lines if line.strip()))
    if not found:
        raise InputError(f"{printable(str(file))}: expected a caption on each line, found none")
    return found


def reduced(pair: Pair) -> Pair:
    """Return a pair no larger than other photos are, both sides by the same averages."""
    sides = [min(n, round(n * LONGEST / max(pair.before.shape[1:]))) for n in pair.before.shape[1:]]
    before, after = functional.interpolate(torch.stack([pair.before, pair.after]), sides, mode="area")
    return Pair(pair.name, before, after)


def _split(pairs: Sequence[Pair]) -> tuple[Sequence[Pair], Sequence[Pair]]:
    """Return pairs to train on and pairs to test on."""
    test = pairs[HELD_OUT - 1 :: HELD_OUT]
    return ([p for i, p in enumerate(pairs) if (i + 1) % HELD_OUT], test) if test else (pairs, pairs[-1:])


def _cut(pairs: Sequence[Pair], concept: str, seed: int, size: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    pair = pairs[int(torch.randint(MANY, (), generator=generator)) % len(pairs)]
    places = _positions(*pair.before.shape[1:])
    return cut([pair.before, places, pair.after], size, f"{concept}/{pair.name}", generator)


_positions = lru_cache(maxsize=64)(positions_of)
