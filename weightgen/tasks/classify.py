"""Image classification: cross-entropy, top-1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch

from weightgen.errors import UsageError, printable
from weightgen.tasks.images import load_images, picture
from weightgen.training.task import Batch, Metric, Split, Task

Augment = Literal["none", "flip", "crop", "crop-flip", "trivial"]
HELD_OUT = 2000
"""Training images held out for `tune` and `validation` together, or a fifth of them where they are few."""


class Classify(Task):
    """Assign each image to a class."""

    name = "classify"
    metric = Metric("top-1", higher_is_better=True, limits=(0.0, 1.0))

    def __init__(self, data: str, size: int, channels: int, augment: Augment = "crop-flip") -> None:
        """Load images and resize them once to the model's input, `size` x `size` pixels of `channels` channels."""
        found = load_images(data)
        if found.channels > channels:
            raise UsageError(
                f"{printable(data)} has colour images, the model takes {channels} channel: "
                "choose a model with in_chans=3"
            )
        self.classes, self.size, self.channels = found.classes, size, channels
        held_out = min(HELD_OUT, len(found.train) // 5)
        order = np.random.default_rng(0).permutation(len(found.train))
        tables = {"train": found.train, "test": found.test}
        self._tables = {k: _resized(t, size, channels, data) for k, t in tables.items()}
        self._items = {
            "tune": order[: held_out // 2],
            "validation": order[held_out // 2 : held_out],
            "train": order[held_out:],
            "test": np.arange(len(found.test)),
        }
        self.sizes = {k: len(v) for k, v in self._items.items()}
        sample = self._pixels("train", self._items["train"][:2000]).float() / 255
        self._mean, self._deviation = float(sample.mean()), max(float(sample.std()), 1e-6)
        self._augment = _augmentation(augment, size)

    def _pixels(self, split: str, rows: np.ndarray) -> torch.Tensor:
        table = self._tables["test" if split == "test" else "train"]
        raw = b"".join(table[[int(r) for r in rows]]["pixels"])
        return torch.frombuffer(bytearray(raw), dtype=torch.uint8).view(-1, self.channels, self.size, self.size)

    def batch(self, split: Split, items: Sequence[int], draws: Sequence[int] | None = None) -> Batch:
        rows = self._items[split][list(items)]
        pixels = self._pixels(split, rows)
        if draws is not None and self._augment is not None:
            pixels = _augmented(self._augment, pixels, draws)
        table = self._tables["test" if split == "test" else "train"]
        labels = torch.tensor(table.select_columns("label")[[int(r) for r in rows]]["label"])
        return {"images": (pixels.float() / 255 - self._mean) / self._deviation, "labels": labels}

    def forward(self, model: torch.nn.Module, batch: Batch) -> torch.Tensor:
        outputs = model(batch["images"])
        logits: torch.Tensor = outputs if isinstance(outputs, torch.Tensor) else outputs.logits
        return logits

    def loss(self, outputs: Any, batch: Batch) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(outputs, batch["labels"])

    def scores(self, outputs: Any, batch: Batch) -> torch.Tensor:
        return torch.eq(outputs.argmax(-1), batch["labels"])

    def configure(self, model: torch.nn.Module) -> None:
        known: Any = getattr(model, "pretrained_cfg", None)
        if isinstance(known, dict):  # timm's: its transforms then prepare images as this training did
            for word in ("tag", "hf_hub_id", "url", "license", "test_input_size", "test_crop_pct"):
                known.pop(word, None)  # of the published weights, which these are not
            known["input_size"] = (self.channels, self.size, self.size)
            known["mean"], known["std"] = (self._mean,) * self.channels, (self._deviation,) * self.channels
            known["crop_pct"], known["interpolation"] = 1.0, "bicubic"

    def check(self, model: torch.nn.Module) -> None:
        images = torch.zeros(2, self.channels, self.size, self.size)
        was_training = model.training
        try:
            with torch.no_grad():
                outputs = self.forward(model.eval(), {"images": images.to(next(model.parameters()).device)})
        except (RuntimeError, AssertionError, ValueError) as error:
            reason = printable((str(error).splitlines() or [type(error).__name__])[0])
            raise UsageError(
                f"the model cannot take {self.channels} x {self.size} x {self.size} images: {reason}"
            ) from error
        finally:
            model.train(was_training)
        if outputs.ndim != 2 or outputs.shape[1] < len(self.classes):
            raise UsageError(
                f"the data have {len(self.classes)} classes, the model {outputs.shape[-1]} outputs: "
                f"choose num_classes={len(self.classes)}"
            )


def _resized(table: Any, size: int, channels: int, data: str) -> Any:
    """Turn images into bytes of the model's input size, channels first; `datasets` keeps the result."""
    import datasets
    from PIL import Image

    def convert(rows: dict[str, list[Any]]) -> dict[str, list[bytes]]:
        made = []
        for stored in rows["image"]:
            image = picture(stored, data).convert("L" if channels == 1 else "RGB")
            if image.size != (size, size):
                image = image.resize((size, size), Image.Resampling.BICUBIC)
            made.append(np.asarray(image).reshape(size, size, -1).transpose(2, 0, 1).tobytes())
        return {"pixels": made}

    features = datasets.Features({"pixels": datasets.Value("binary"), "label": table.features["label"]})
    return table.map(convert, batched=True, remove_columns=["image"], features=features)


def _augmentation(name: Augment, size: int) -> Any:
    from torchvision.transforms import v2

    crop = v2.RandomCrop(size, padding=max(1, size // 8))
    known = {
        "none": None,
        "flip": v2.RandomHorizontalFlip(),
        "crop": crop,
        "crop-flip": v2.Compose([crop, v2.RandomHorizontalFlip()]),
        "trivial": v2.Compose([v2.RandomHorizontalFlip(), v2.TrivialAugmentWide()]),
    }
    return known[name]


def _augmented(augment: Any, pixels: torch.Tensor, draws: Sequence[int]) -> torch.Tensor:
    """Augment each image with its own seed, so that it looks the same whatever batch or process it falls into."""
    made = []
    with torch.random.fork_rng(devices=[]):
        for image, draw in zip(pixels, draws, strict=True):
            torch.default_generator.manual_seed(draw)  # torch.manual_seed costs more than the augmentation
            made.append(augment(image))
    return torch.stack(made)
