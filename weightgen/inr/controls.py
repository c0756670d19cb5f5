"""Where fits can begin without having learned to: closed forms, and the controls of Tancik et al. 2021, section 4."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor

from weightgen.errors import UsageError
from weightgen.inr.derivatives import Parts
from weightgen.inr.field import Field
from weightgen.inr.fitting import Adaptation, evaluator, fit, stack, stacked
from weightgen.inr.signals.kind import Kind, Signal
from weightgen.inr.start import Start
from weightgen.inr.vi3nr import vi3nr_
from weightgen.inr.winner import winner_, winner_strengths

FITTED = 300  # steps that make a mean or a matched start
POINTS = 4096  # of the field, a step
RATE = 1e-3


def redraw(by: Literal["vi3nr", "winner"], field: Field, kind: Kind, signals: Sequence[Signal], seed: int) -> None:
    """Draw a field's weights anew by a closed form; the signals give WINNER their spectra."""
    generator = torch.Generator().manual_seed(seed)
    if by == "vi3nr":
        vi3nr_(field, generator, low=kind.coordinates.low, high=kind.coordinates.high)
    else:
        winner_(field, generator, *winner_strengths((centred(kind, s) for s in signals), kind.inputs))


def centred(kind: Kind, signal: Signal) -> Tensor:
    """Return a picture's, slice's or sound's samples on their grid, in [-1, 1], as WINNER takes its spectra."""
    if kind.name not in ("image", "ct", "audio"):
        raise UsageError(f"winner knows the spectra of images, slices and sounds, not of {kind.name} signals")
    standard = kind.standard(signal)
    picture = kind.itself(standard)
    return kind.observe(standard)["values"] if picture is None else torch.as_tensor(picture) * 2 - 1


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
        which = _some(kind, signal, generator)
        return [(stack([kind.observe(signal, which, generator)]), 1.0)]

    _fit(field, kind, parts)


def imitate(field: Field, learned: Start, signals: Sequence[Signal], seed: int) -> None:
    """Fit a field to what a learned start shows before it has seen a signal."""
    generator, kind = torch.Generator().manual_seed(seed), learned.kind
    shown = evaluator(learned.field, stacked(learned.field, 1))

    def parts() -> Parts:
        signal = kind.standard(signals[0])
        which = _some(kind, signal, generator)
        look = stack([kind.observe(signal, which, generator)])
        return [({**look, "values": kind.predict(shown, look)}, 1.0)]

    _fit(field, kind, parts)


def _some(kind: Kind, signal: Signal, generator: torch.Generator) -> Tensor:
    """Return random observations, as many as ask for so many points of the field."""
    count = kind.count(signal)
    return torch.randint(count, (max(1, POINTS * count // kind.points(signal)),), generator=generator)


def _fit(field: Field, kind: Kind, parts: Callable[[], Parts]) -> None:
    run = fit(field, kind, stacked(field, 1), parts, FITTED, Adaptation(rate=RATE))
    with torch.no_grad():
        for name, parameter in field.named_parameters():
            parameter.copy_(run.tensors[name][0])
