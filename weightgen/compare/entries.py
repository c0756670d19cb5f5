"""What a race of fits can start from: a learned start, random weights, a closed form, or a control."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from weightgen.errors import UsageError, did_you_mean, printable
from weightgen.inr.config import FIELDS, field_config
from weightgen.inr.controls import average, imitate, redraw, shuffle
from weightgen.inr.field import Field
from weightgen.inr.signals.kind import Signal
from weightgen.inr.start import Start, load_start
from weightgen.starts.start import Kind, split_name

How = Literal["checkpoint", "random", "vi3nr", "winner", "mean", "shuffled", "matched"]
OF_START: tuple[How, ...] = ("shuffled", "matched")
ALONE: tuple[How, ...] = ("random", "vi3nr", "winner", "mean")


@dataclass(frozen=True)
class Entry:
    """One start of a race."""

    text: str
    """As the user wrote it."""
    name: str
    how: How
    directory: str = ""
    """Of the learned start, where there is one."""
    field: str = ""
    """Family of a random field that is not like the learned one."""

    @property
    def kind(self) -> Kind:
        """What the results of a race call it."""
        return "initialiser" if self.how == "vi3nr" or self.how == "winner" else self.how


def parse_entry(text: str) -> Entry:
    """Read `[NAME=]` and DIRECTORY, random[:FIELD], vi3nr, winner, mean, shuffled:DIRECTORY or matched:DIRECTORY."""
    name, rest = split_name(text)
    word, _, argument = rest.partition(":")
    for how in OF_START:
        if word == how and not argument:
            raise UsageError(f"'{printable(text)}': of which start? Write {how}:DIRECTORY")
        if word == how:
            return Entry(text, name or f"{how}:{Path(argument).name}", how, directory=argument)
    for how in ALONE:
        if rest == how:
            return Entry(text, name or rest, how)
    if word == "random" and argument in FIELDS:
        return Entry(text, name or rest, "random", field=argument)
    if not Path(rest).expanduser().is_dir():
        words = [*ALONE, *OF_START, *(f"random:{f}" for f in FIELDS)]
        raise UsageError(
            f"'{printable(rest)}' is no start for fields: no such directory.{did_you_mean(rest, words)} "
            f"A start is a directory of weightgen metalearn, random:FIELD, or one of {', '.join((*ALONE, *OF_START))}."
        )
    return Entry(text, name or Path(rest).name, "checkpoint", directory=rest)


def make_start(entry: Entry, model: Start, signals: Sequence[Signal], seed: int) -> Start:
    """Return a start for fields like the model's; the seed decides all that is random in it.

    `signals`, which are not those that are fitted later, give the mean and the spectra.
    """
    if entry.directory:
        model = load_start(Path(entry.directory).expanduser())
    if entry.how == "checkpoint":
        return model
    config, kind = model.field.config, model.kind
    if entry.field:
        config = field_config(entry.field, {"inputs": kind.inputs, "outputs": kind.outputs})
    field = Field(config, seed)
    if entry.how in ("vi3nr", "winner"):
        redraw(entry.how, field, kind, signals, seed)
    elif entry.how == "mean":
        average(field, kind, signals, seed)
    elif entry.how in OF_START:
        field.encoding.load_state_dict(model.field.encoding.state_dict())
        if entry.how == "shuffled":
            shuffle(field, model.field, seed)
        else:
            imitate(field, model, signals, seed)
    return Start(field, kind)
