"""Everything that decides a training run, apart from the model and its task."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Settings:
    """How to train."""

    steps: int
    batch_size: int
    """Items of one optimizer step, over all processes and micro-batches."""
    learning_rate: float
    """Its peak."""
    optimizer: Literal["adamw", "layca"] = "adamw"
    weight_decay: float = 0.05
    """AdamW's, of matrices; vectors (biases, norms) are not decayed."""
    gradient_noise: float = 0.0
    """Variance of the noise added to the first step's gradient; 0: none."""
    schedule: str = "cosine"
    """A name that transformers.get_scheduler knows."""
    warmup: float = 0.1
    """Fraction of the steps."""
    clip: float = 1.0
    """Largest norm of the gradient."""
    accumulate: int = 1
    """Micro-batches per step and process."""
    precision: Literal["no", "bf16", "fp16"] = "no"
    ema: float = 0.0
    """Decay of the averaged weights, which are then the ones scored and returned; 0: none."""
    data_seed: int = 0
    augment_seed: int = 0
    """Of augmentation, dropout and stochastic depth."""
    marks: tuple[int, ...] = ()
    """Steps at which the validation set is scored."""
    save_every: int = 500
    """Steps between two saved states."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as JSON and trackers want them."""
        values = asdict(self)
        return values | {"marks": ",".join(map(str, self.marks))}


def differences(then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Say which values changed, `name: old then, new now` each."""
    return [f"{k}: {then.get(k)} then, {now.get(k)} now" for k in sorted({*then, *now}) if then.get(k) != now.get(k)]
