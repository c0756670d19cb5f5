"""A learned start on disk: config.json says everything, model.safetensors holds plain tensors."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field as Limits
from torch import Tensor

from weightgen.console import Progress
from weightgen.errors import InputError, UsageError, printable
from weightgen.inr.config import FieldConfig, M, Strict, checked
from weightgen.inr.field import Field, frequencies_of, shapes_of
from weightgen.inr.fitting import Adaptation, Fitted, fit, observed, stack, stacked
from weightgen.inr.signals import make_kind
from weightgen.inr.signals.kind import Kind, Signal
from weightgen.models.tensorfile import read_header
from weightgen.reading.json_files import read_json

CONFIG, WEIGHTS = "config.json", "model.safetensors"
RATES = "inner_rates."


class Recommended(Strict):
    """How to fit with a budget of steps, as found on validation signals."""

    steps: int = Limits(ge=0)
    """To make: fewer than the budget where more made things worse."""
    adaptation: Adaptation
    score: float
    """The kind's metric there, mean over the validation signals."""


class StartConfig(Strict):
    """config.json of a start."""

    format: Literal["weightgen-inr-start"] = "weightgen-inr-start"
    version: Literal[1] = 1
    field: FieldConfig
    signal: dict[str, Any]
    """`kind` and its conventions."""
    inner_steps: int = Limits(ge=0)
    """Steps that the start was learned for; each has learned rates in `inner_rates.*`, where there are any."""
    recommended: dict[int, Recommended] = Limits(default_factory=dict)


@dataclass(frozen=True)
class Start:
    """Where fits begin."""

    field: Field
    kind: Kind
    inner_steps: int = 0
    rates: Tensor | None = None
    """Learned inner rates (steps, tensors), in the order of the field's parameters."""
    recommended: Mapping[int, Recommended] = field(default_factory=dict)

    def advice(self, steps: int) -> Adaptation:
        """Return how to make so many steps: as recommended for the smallest budget that holds them, else the largest.

        Where nothing is recommended: the learned rates, or Adam.
        """
        if not self.recommended:
            return Adaptation(learned_steps=self.inner_steps if self.rates is not None else 0)
        budget = min((b for b in self.recommended if b >= steps), default=max(self.recommended))
        return self.recommended[budget].adaptation

    def fit(
        self,
        signals: Sequence[Signal],
        steps: int,
        adaptation: Adaptation | None = None,
        *,
        points: int = 0,
        seed: int = 0,
        marks: Collection[int] = (),
        most: int | None = None,
        progress: Progress | None = None,
    ) -> Fitted:
        """Fit signals of equal size at once, as recommended unless an adaptation says how, and judge the fits.

        `points`: random observations of a signal a step; 0: all, of huge signals many. `most`: judge on no more than so
        many random ones. `marks`: steps at which to judge besides the end.
        """
        adaptation, device = adaptation or self.advice(steps), next(self.field.parameters()).device
        scale = adaptation.scale * self.kind.coverage(signals[0])
        judged = stack([self.kind.judged(s) for s in signals], device)
        count = judged["coordinates"].shape[1]
        if most is not None and count > most:
            which = torch.randperm(count, generator=torch.Generator().manual_seed(seed))[:most].to(device)
            judged = {name: values[:, which] for name, values in judged.items()}
        return fit(
            self.field,
            self.kind,
            stacked(self.field, len(signals)),
            observed(self.kind, signals, points, seed, device),
            steps,
            adaptation.model_copy(update={"scale": scale}),
            self.rates,
            judge=partial(self.kind.score, batch=judged),
            marks=marks,
            progress=progress,
        )


def save_start(start: Start, directory: Path) -> None:
    """Write config.json and model.safetensors into a directory that is being published."""
    from safetensors.torch import save

    config = StartConfig(
        field=start.field.config,
        signal={"kind": start.kind.name, **start.kind.config.model_dump(mode="json")},
        inner_steps=start.inner_steps,
        recommended=dict(start.recommended),
    )
    text = json.dumps(config.model_dump(mode="json"), indent=1)
    (directory / CONFIG).write_text(text + "\n", encoding="utf-8")
    tensors = {n: t.detach().cpu().contiguous() for n, t in start.field.state_dict().items()}
    if start.rates is not None:
        names = [n for n, _ in start.field.named_parameters()]
        tensors |= {RATES + n: start.rates[:, i].detach().cpu().contiguous() for i, n in enumerate(names)}
    (directory / WEIGHTS).write_bytes(save(tensors, metadata={"format": "pt"}))  # save_file's is for its owner only


def load_start(directory: Path) -> Start:
    """Read a start; raises UsageError where there is none, InputError where it is broken or does not hold together."""
    shown = printable(str(directory))
    if not (directory / CONFIG).is_file():
        raise UsageError(f"{shown}: no start for fields here ({CONFIG} is missing). Make one: weightgen metalearn")
    config = parse_config(StartConfig, directory / CONFIG, "weightgen-inr-start", "weightgen metalearn")
    kind = kind_of(config.signal, config.field, directory / CONFIG)
    tensors, own = read_tensors(directory / WEIGHTS), shapes_of(config.field)
    rates = list(own)
    own |= frequencies_of(config.field)
    learned = any(n.startswith(RATES) for n in tensors)
    expected = {**own, **({RATES + n: (config.inner_steps,) for n in rates} if learned else {})}
    check_shapes(expected, tensors, directory / WEIGHTS)  # before a field is made: a config can say any size
    found = Field(config.field)
    found.load_state_dict({n: tensors[n] for n in own})
    stacked = torch.stack([tensors[RATES + n] for n in rates], 1) if learned else None
    return Start(found, kind, config.inner_steps, stacked, config.recommended)


def parse_config(kind: type[M], path: Path, format: str, made_by: str) -> M:
    """Read a config.json of ours; raises InputError naming the word that is wrong."""
    values = read_json(path)
    if values.get("format") != format:
        raise InputError(f"{printable(str(path))}: expected format {format}, as {made_by} writes it")
    try:
        return checked(kind, values, printable(str(path)))
    except UsageError as error:
        raise InputError(str(error)) from error


def kind_of(signal: Mapping[str, Any], field: FieldConfig, path: Path) -> Kind:
    """Return the kind that a config.json describes; raises InputError where it is unknown, or not for such a field."""
    conventions = {k: v for k, v in signal.items() if k != "kind"}
    try:
        kind = make_kind(str(signal.get("kind")), conventions, printable(str(path)))
    except UsageError as error:
        raise InputError(str(error)) from error
    if (field.inputs, field.outputs) != (kind.inputs, kind.outputs):
        raise InputError(
            f"{printable(str(path))}: {kind.name} signals have {kind.outputs} values at {kind.inputs} coordinates, "
            f"its field {field.outputs} at {field.inputs}"
        )
    return kind


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file of float32 or float64 tensors; raises InputError where anything is wrong with it."""
    from safetensors.torch import load_file

    entries, _ = read_header(path)  # refuses what the library would trust: overlapping, huge, truncated
    odd = next((n for n, e in entries.items() if e.dtype not in ("F32", "F64")), None)
    if odd is not None:
        raise InputError(f"{printable(str(path))}: '{printable(odd)}' is {entries[odd].dtype}, expected F32")
    return load_file(path)


def check_shapes(expected: Mapping[str, tuple[int, ...]], tensors: Mapping[str, Tensor], path: Path) -> None:
    """Raise InputError for the first tensor that is missing, unknown, of another shape or not finite."""
    shown = printable(str(path))
    for name in sorted({*expected, *tensors}):
        if name not in tensors:
            raise InputError(f"{shown}: has no tensor '{printable(name)}', which {CONFIG} asks for")
        if name not in expected:
            raise InputError(f"{shown}: has a tensor '{printable(name)}' that {CONFIG} does not know")
        found = tuple(tensors[name].shape)
        if found != expected[name]:
            raise InputError(f"{shown}: '{printable(name)}' is {list(found)}, expected {list(expected[name])}")
        if not bool(torch.isfinite(tensors[name]).all()):
            raise InputError(f"{shown}: '{printable(name)}' has values that are not finite")
