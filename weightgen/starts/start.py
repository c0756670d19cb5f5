"""What a training can start from: a checkpoint, random weights, or one of the controls that a race needs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from weightgen import inits
from weightgen.errors import UsageError, did_you_mean, printable
from weightgen.models.architecture import Architecture
from weightgen.models.loading import initialised, load_model
from weightgen.models.names import resolve
from weightgen.models.source import Source, open_source

if TYPE_CHECKING:
    import torch

    from weightgen.models.masks import Mask

Kind = Literal[
    "checkpoint", "initialiser", "random", "shuffled", "stats", "perturbed", "scratch-flops", "mean", "matched"
]
OF_CHECKPOINT = ("shuffled", "stats")


@dataclass(frozen=True)
class Start:
    """One way to begin."""

    text: str
    """As the user wrote it."""
    name: str
    kind: Kind
    directory: str = ""
    """Name of the checkpoint, for the kinds that have one."""
    scale: float = 0.0
    """How far a perturbed checkpoint is from it (`diagnostics.perturbation.perturb_`)."""

    @cached_property
    def source(self) -> Source:
        """The checkpoint's tensors."""
        return open_source(resolve(self.directory), {})

    @cached_property
    def mask(self) -> Mask | None:
        """The mask beside a sparse start's weights, which training keeps to; None where there is none."""
        if self.kind not in ("checkpoint", "perturbed") or self.source.directory is None:
            return None
        from weightgen.models.masks import load_mask

        return load_mask(self.source.directory)

    def model(self, architecture: Architecture, seed: int) -> torch.nn.Module:
        """Return a new model with this start's weights; the seed decides all that is random in them."""
        if self.kind in ("checkpoint", "perturbed"):
            held = load_model(self.source)
            if self.kind == "perturbed":
                _perturb(held, self.scale, seed)
            if self.mask is not None:
                self.mask.hold_(held)
            return held
        if self.kind in OF_CHECKPOINT:
            return _control(self.kind, load_model(self.source), seed)
        model = initialised(architecture, seed)
        if self.kind == "initialiser":
            kept = inits.apply(self.text.rpartition("=")[2], model, seed, architecture=architecture)
            if kept:
                from weightgen.models.masks import Mask

                Mask(kept).hold_(model)
        return model


def split_name(text: str) -> tuple[str, str]:
    """Return the name that `NAME=START` gives a start, empty where it gives none, and the start."""
    name, equals, rest = text.partition("=")
    return (name, rest) if equals and "/" not in name else ("", text)


def parse_start(text: str) -> Start:
    """Read `[NAME=]START`.

    START: a directory, an initialiser, `random`, `shuffled:DIR`, `stats:DIR`, `perturbed:SCALE:DIR` or
    `scratch-flops[:DIR]`.
    """
    name, rest = split_name(text)
    kind, _, argument = rest.partition(":")
    if rest == "random":
        return Start(text, name or "random", "random")
    if rest in inits.INITIALISERS:
        return Start(text, name or rest, "initialiser")
    if kind == "scratch-flops":
        return Start(text, name or rest, "scratch-flops", argument)
    if kind in OF_CHECKPOINT:
        if not argument:
            raise UsageError(f"'{printable(text)}': of which checkpoint? Write {kind}:DIRECTORY")
        return Start(text, name or f"{kind}:{_last(argument)}", "shuffled" if kind == "shuffled" else "stats", argument)
    if kind == "perturbed":
        return _perturbed(text, name, argument)
    words = ["random", "shuffled", "stats", "perturbed", "scratch-flops", *inits.INITIALISERS]
    if not Path(rest).expanduser().is_dir() and ":" not in rest:
        raise UsageError(
            f"'{printable(rest)}' is no start: no such directory.{did_you_mean(rest, words)} "
            f"A start is a checkpoint directory or one of {', '.join(words)}."
        )
    return Start(text, name or _last(rest), "checkpoint", rest)


def _perturbed(text: str, name: str, argument: str) -> Start:
    scale, _, directory = argument.partition(":")
    try:
        size = float(scale)
    except ValueError:
        size = -1.0
    if not directory or not 0 <= size < math.inf:
        raise UsageError(
            f"'{printable(text)}': by how much, of which checkpoint? Write perturbed:SCALE:DIRECTORY, as in "
            "perturbed:0.01:start"
        )
    return Start(text, name or f"perturbed:{scale}:{_last(directory)}", "perturbed", directory, size)


def parse_starts(texts: list[str]) -> list[Start]:
    """Read several; raises UsageError where two would have one name."""
    starts = [parse_start(t) for t in texts]
    refuse_same_names([(s.name, s.text) for s in starts])
    return starts


def refuse_same_names(starts: list[tuple[str, str]]) -> None:
    """Raise UsageError where two of the starts, (name, text) each, would have one name."""
    seen: set[str] = set()
    for name, text in starts:
        if name in seen:
            raise UsageError(f"two starts are called '{printable(name)}': name one, as in other={printable(text)}")
        seen.add(name)


def _last(text: str) -> str:
    return text.rstrip("/").rpartition("/")[2].rpartition(":")[2]


def _perturb(model: torch.nn.Module, scale: float, seed: int) -> None:
    import torch

    from weightgen.diagnostics.perturbation import perturb_

    perturb_(model, scale, torch.Generator().manual_seed(seed))


def _control(kind: str, model: torch.nn.Module, seed: int) -> torch.nn.Module:
    """Keep a checkpoint's distributions and drop its knowledge, tensor by tensor."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for values in model.parameters():
            flat = values.view(-1)
            if kind == "shuffled":
                flat.copy_(flat[torch.randperm(len(flat), generator=generator)])
            else:
                deviation = flat.std(unbiased=False)
                flat.copy_(torch.randn(len(flat), generator=generator) * deviation + flat.mean())
    return model
