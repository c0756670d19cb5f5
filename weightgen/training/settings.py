"""Everything that decides a training run, apart from the model and its task."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from weightgen.recipe.training import LoopRecipe

MARKS = 10


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


def settings_of(recipe: LoopRecipe, rate: float, marks: tuple[int, ...] = (), offset: int = 0) -> Settings:
    """Return how to train by a recipe; `offset` is added to its seeds, the run's number in a race.

    What the recipe does not speak of is as the class has it, but weights decay only where it says so.
    """
    names = {field.name for field in fields(Settings)} & set(type(recipe).model_fields)
    told = {"weight_decay": 0.0} | {name: getattr(recipe, name) for name in names}
    seeds = {"data_seed": recipe.data_seed + offset, "augment_seed": recipe.augment_seed + offset}
    return Settings(**(told | seeds | {"learning_rate": rate, "marks": marks}))


def marks_of(steps: int) -> tuple[int, ...]:
    """Return the steps at which a training is scored: its beginning, its end, and nine between."""
    return tuple(sorted({round(steps * i / MARKS) for i in range(MARKS + 1)}))
