"""What concepts are shown by: crops before and after, the same crops in the same order for all of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from weightgen.diffusion.concepts import Concept
from weightgen.diffusion.edits import edit
from weightgen.diffusion.photos import Photos, check_size, crops, varied
from weightgen.training.task import Batch


class Examples(ABC):
    """Pairs of crops of K concepts.

    A batch has `images` (K, N, 3, size, size), or (1, N, ...) where all concepts have the same, and `positions`.
    """

    concepts: tuple[Concept, ...]

    @abstractmethod
    def only(self, which: Sequence[int]) -> Examples:
        """Return those of some concepts, in the order given."""

    @abstractmethod
    def check(self, size: int) -> None:
        """Raise InputError for a photo of which no square of so many pixels can be cut."""

    @abstractmethod
    def draw(self, seeds: Sequence[int], size: int) -> Batch:
        """Return random training crops, one for each seed: the same ones whichever concepts are asked for."""

    @abstractmethod
    def test(self, count: int, size: int) -> Batch:
        """Return crops of held-out photos, always the same; smaller ones where a photo is smaller."""

    @abstractmethod
    def targets(self, batch: Batch) -> Tensor:
        """Return what each concept makes of a batch, (K, N, 3, size, size)."""


class Edited(Examples):
    """Photos that are edited as each concept's clauses say, on the device where they are needed."""

    def __init__(self, photos: Photos, concepts: Sequence[Concept]) -> None:
        self.photos, self.concepts = photos, tuple(concepts)

    def only(self, which: Sequence[int]) -> Edited:
        return Edited(self.photos, [self.concepts[i] for i in which])

    def check(self, size: int) -> None:
        for photo in (*self.photos.train, *self.photos.test):
            check_size(photo.image, size, photo.name)

    def draw(self, seeds: Sequence[int], size: int) -> Batch:
        images, positions = [], []
        for seed in seeds:
            generator = torch.Generator().manual_seed(seed)
            found = crops(self.photos.train, size, 1, generator)
            images.append(varied(found.images[0], generator))
            positions.append(found.positions[0])
        return {"images": torch.stack(images)[None], "positions": torch.stack(positions)[None]}

    def test(self, count: int, size: int) -> Batch:
        smallest = min(min(photo.image.shape[1:]) for photo in self.photos.test)
        found = crops(self.photos.test, min(size, smallest), count, torch.Generator().manual_seed(0))
        return {"images": found.images[None], "positions": found.positions[None]}

    @torch.no_grad()
    def targets(self, batch: Batch) -> Tensor:
        images, positions = batch["images"][0], batch["positions"][0]
        return torch.stack([edit(images, concept.clauses, positions) for concept in self.concepts])


class Mixed(Examples):
    """Examples of one network that learns all concepts at once, without being told which: each seed draws one."""

    def __init__(self, examples: Examples) -> None:
        self.examples = examples
        self.concepts = (Concept("base", (), ()),)

    def only(self, which: Sequence[int]) -> Mixed:
        return self

    def check(self, size: int) -> None:
        self.examples.check(size)

    def draw(self, seeds: Sequence[int], size: int) -> Batch:
        parts: list[Batch] = []
        for seed in seeds:
            which = int(np.random.default_rng(seed).integers(len(self.examples.concepts)))
            mine = self.examples.only([which])
            batch = mine.draw([seed], size)
            parts.append({**batch, "targets": mine.targets(batch)})
        return {name: torch.cat([part[name] for part in parts], dim=1) for name in parts[0]}

    def test(self, count: int, size: int) -> Batch:
        batches = [self.examples.only([i]) for i in range(len(self.examples.concepts))]
        parts = [{**(b := e.test(count, size)), "targets": e.targets(b)} for e in batches]
        return {name: torch.cat([part[name] for part in parts], dim=1) for name in parts[0]}

    def targets(self, batch: Batch) -> Tensor:
        found: Tensor = batch["targets"]
        return found
