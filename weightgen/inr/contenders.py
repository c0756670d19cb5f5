"""Where fits can begin, for comparison: learned starts, closed forms, and the controls of Tancik et al. 2021."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from weightgen.errors import UsageError, did_you_mean, printable
from weightgen.inits.vi3nr import vi3nr_
from weightgen.inits.winner import winner_, winner_strengths
from weightgen.inr.derivatives import Parts
from weightgen.inr.field import Field
from weightgen.inr.fitting import Adaptation, evaluator, fit, stack, stacked
from weightgen.inr.signals.kind import Kind, Signal
from weightgen.inr.start import Start, load_start

Contender = Literal["checkpoint", "random", "initialiser", "shuffled", "matched", "mean"]
INITIALISERS = ("vi3nr", "winner")
CONTROLS = ("shuffled", "matched")
FITTED = 300  # steps that make a mean or a matched start
POINTS = 4096
RATE = 1e-3


@dataclass(frozen=True)
class Entry:
    """One start of a race."""

    text: str
    """As the user wrote it."""
    name: str
    kind: Contender
    directory: str = ""
    """Of the learned start, for the kinds that have one."""


def parse_entry(text: str) -> Entry:
    """Read `[NAME=]DIRECTORY`, `random`, `vi3nr`, `winner`, `mean`, `shuffled:DIRECTORY` or `matched:DIRECTORY`."""
    name, equals, rest = text.partition("=")
    if not equals or "/" in name:
        name, rest = "", text
    kind, _, argument = rest.partition(":")
    if kind in CONTROLS:
        if not argument:
            raise UsageError(f"'{printable(text)}': of which start? Write {kind}:DIRECTORY")
        label = f"{kind}:{Path(argument).name}"
        return Entry(text, name or label, "shuffled" if kind == "shuffled" else "matched", argument)
    if rest == "random":
        return Entry(text, name or rest, "random")
    if rest == "mean":
        return Entry(text, name or rest, "mean")
    if rest in INITIALISERS:
        return Entry(text, name or rest, "initialiser")
    if not Path(rest).expanduser().is_dir():
        words = ["random", "mean", *INITIALISERS, *CONTROLS]
        raise UsageError(
            f"'{printable(rest)}' is no start for fields: no such directory.{did_you_mean(rest, words)} "
            f"A start is a directory of weightgen metalearn or one of {', '.join(words)}."
        )
    return Entry(text, name or Path(rest).name, "checkpoint", rest)


def make_start(entry: Entry, model: Start, signals: Sequence[Signal], seed: int) -> Start:
    """Return a start for fields like the model's; the seed decides all that is random in it.

    `signals`, which are not those that are fitted later, give the mean and the spectra.
    """
    if entry.directory:
        learned = load_start(Path(entry.directory).expanduser())
        if entry.kind == "checkpoint":
            return learned
        field = Field(learned.field.config, seed)
        field.encoding.load_state_dict(learned.field.encoding.state_dict())
        if entry.kind == "shuffled":
            shuffle(field, learned.field, seed)
        else:
            imitate(field, learned, signals, seed)
        return Start(field, learned.kind)
    field, kind = Field(model.field.config, seed), model.kind
    generator = torch.Generator().manual_seed(seed)
    if entry.text.endswith("vi3nr"):
        vi3nr_(field, generator)
    elif entry.text.endswith("winner"):
        winner_(field, generator, *winner_strengths((centred(kind, s) for s in signals), kind.inputs))
    elif entry.kind == "mean":
        average(field, kind, signals, seed)
    return Start(field, kind)


def centred(kind: Kind, signal: Signal) -> Tensor:
    """Return an image's or sound's samples on their grid, in [-1, 1], as WINNER takes its spectra."""
    if kind.name not in ("image", "audio"):
        raise UsageError(f"winner knows the spectra of images and sounds, not of {kind.name} signals")
    standard = kind.standard(signal)
    values = kind.observe(standard)["values"].reshape(*kind.shape(standard), kind.outputs)
    return values * 2 - 1 if kind.name == "image" else values


def shuffle(field: Field, learned: Field, seed: int) -> None:
    """Permute each tensor of a learned start: its distributions without its knowledge."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for own, known in zip(field.parameters(), learned.parameters(), strict=True):
            own.copy_(known.flatten()[torch.randperm(known.numel(), generator=generator)].view_as(known))


def average(field: Field, kind: Kind, signals: Sequence[Signal], seed: int) -> None:
    """Fit a field to many signals at once, whose squared error is least at their mean."""
    generator = torch.Generator().manual_seed(seed)

    def parts() -> Parts:
        signal = kind.standard(signals[int(torch.randint(len(signals), (), generator=generator))])
        which = torch.randint(kind.count(signal), (POINTS,), generator=generator)
        return [(stack([kind.observe(signal, which, generator)]), 1.0)]

    _fit(field, kind, parts)


def imitate(field: Field, learned: Start, signals: Sequence[Signal], seed: int) -> None:
    """Fit a field to what a learned start shows before it has seen a signal."""
    generator, kind = torch.Generator().manual_seed(seed), learned.kind
    shown = evaluator(learned.field, stacked(learned.field, 1))

    def parts() -> Parts:
        signal = kind.standard(signals[0])
        which = torch.randint(kind.count(signal), (POINTS,), generator=generator)
        look = stack([kind.observe(signal, which, generator)])
        return [({**look, "values": kind.predict(shown, look)}, 1.0)]

    _fit(field, kind, parts)


def _fit(field: Field, kind: Kind, parts: Callable[[], Parts]) -> None:
    run = fit(field, kind, stacked(field, 1), parts, FITTED, Adaptation(rate=RATE))
    with torch.no_grad():
        for name, parameter in field.named_parameters():
            parameter.copy_(run.tensors[name][0])
