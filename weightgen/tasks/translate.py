"""Image translation: mean absolute error, PSNR over held-out photos."""

from __future__ import annotations

import io
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from weightgen.diffusion.quality import l1, psnr, ssim
from weightgen.errors import InputError, UsageError, printable
from weightgen.tasks.edited import Square, cut, elsewhere, load_shots, squares
from weightgen.training.task import Batch, Metric, Shown, Split, Task

SIZE = 64
SMALLEST = 11
"""Pixels of a crop: the window of SSIM."""
MOST = 240
"""Held-out crops that are looked at."""
SHARES: dict[Split, float] = {"tune": 0.2, "validation": 0.6, "test": 1.0}
"""Where each held-out split ends."""
SHOWN = 3
LARGEST = 256
"""Pixels of a picture's side: a report carries dozens of them."""


class TranslateTask(Task):
    """Turn photos into edited ones. An item is a square of a photo; no photo is both trained on and judged by."""

    name = "translate"
    metric = Metric("PSNR", higher_is_better=True, limits=(0.0, 60.0))
    scoring_batch = 64

    def __init__(self, data: str, size: int = SIZE) -> None:
        """Load photos, and lay squares of `size` x `size` pixels over them.

        The squares of held-out photos do not overlap. Raises UsageError for squares that are too small, InputError
        for photos that are too small or too few.
        """
        if size < SMALLEST:
            raise UsageError(f"--image-size {size}: expected crops of at least {SMALLEST} pixels, the window of SSIM")
        self._shots, self._side = load_shots(data), size
        found = squares(self._shots.held_out, size)
        order = np.random.default_rng(0).permutation(len(found))[:MOST]
        ends = [round(share * len(order)) for share in (0.0, *SHARES.values())]
        self._squares: dict[Split, list[Square]] = {"train": squares(self._shots.train, size)}
        for split, (begin, end) in zip(SHARES, pairwise(ends), strict=True):
            self._squares[split] = [found[i] for i in order[begin:end]]
        if not all(self._squares.values()):
            raise InputError(
                f"{printable(data)}: the held-out photos have {len(found)} squares of {size} x {size} pixels, "
                "3 are needed at least\nLower --image-size, or add photos."
            )
        self.sizes = {split: len(items) for split, items in self._squares.items()}
        self.further = {"SSIM": _ssim, "L1": _l1}
        self.shown = self._shown()

    def batch(self, split: Split, items: Sequence[int], draws: Sequence[int] | None = None) -> Batch:
        shots = self._shots.train if split == "train" else self._shots.held_out
        chosen = [self._squares[split][i] for i in items]
        if draws is not None:
            chosen = [elsewhere(s, shots, self._side, d) for s, d in zip(chosen, draws, strict=True)]
        return cut(shots, chosen, self._side, self._shots.clauses)

    def forward(self, model: torch.nn.Module, batch: Batch) -> torch.Tensor:
        outputs: torch.Tensor = model(batch["before"], batch["positions"])
        return outputs

    def loss(self, outputs: Any, batch: Batch) -> torch.Tensor:
        return torch.nn.functional.l1_loss(outputs, batch["after"])

    def scores(self, outputs: Any, batch: Batch) -> torch.Tensor:
        return psnr(_as_seen(outputs), batch["after"][:, None])

    def check(self, model: torch.nn.Module) -> None:
        images = torch.zeros(2, 3, self._side, self._side, device=next(model.parameters()).device)
        was_training = model.training
        try:
            with torch.no_grad():
                outputs = self.forward(model.eval(), {"before": images, "positions": images})
            found = f"it makes {list(outputs.shape)} of {list(images.shape)}" if outputs.shape != images.shape else ""
        except (RuntimeError, TypeError, AssertionError, ValueError, AttributeError) as error:
            found = printable((str(error).splitlines() or [type(error).__name__])[0])
        finally:
            model.train(was_training)
        if found:
            raise UsageError(
                f"the model is no image translator: {found}\nTake --model translator, or a start that is one."
            )

    def draw(self, model: torch.nn.Module) -> list[bytes]:
        batch = self.batch("validation", [s.item for s in self.shown])
        device, was_training = next(model.parameters()).device, model.training
        with torch.no_grad():
            outputs = self.forward(model.eval(), {name: value.to(device) for name, value in batch.items()})
        model.train(was_training)
        return [_png(image) for image in _as_seen(outputs)[:, 0]]

    def _shown(self) -> list[Shown]:
        """Return the square with the most to see in it of each photo, for the first photos."""
        chosen: dict[int, tuple[float, int]] = {}
        for item, square in enumerate(self._squares["validation"]):
            contrast = float(cut(self._shots.held_out, [square], self._side, ())["before"].std())
            chosen[square.shot] = max(chosen.get(square.shot, (-1.0, 0)), (contrast, item))
        found = []
        for shot in sorted(chosen)[:SHOWN]:
            item = chosen[shot][1]
            batch = self.batch("validation", [item])
            beside = {"before": _png(batch["before"][0]), "target": _png(batch["after"][0])}
            found.append(Shown(item, printable(self._shots.held_out[shot].photo.name), beside))
        return found


def _as_seen(outputs: torch.Tensor) -> torch.Tensor:
    """Return images (items, 3, H, W) as those of one network each, (items, 1, 3, H, W), as a screen shows them."""
    return torch.nan_to_num(outputs.float(), nan=0.0).clamp(0, 1)[:, None]


def _ssim(outputs: Any, batch: Batch) -> torch.Tensor:
    return ssim(_as_seen(outputs), batch["after"][:, None])


def _l1(outputs: Any, batch: Batch) -> torch.Tensor:
    return l1(_as_seen(outputs), batch["after"][:, None])


def _png(image: torch.Tensor) -> bytes:
    from PIL import Image

    pixels = (image * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
    picture, file = Image.fromarray(pixels), io.BytesIO()
    picture.thumbnail((LARGEST, LARGEST))
    picture.save(file, "PNG")
    return file.getvalue()
