"""The one architecture that starts must share before they are trained, measured or averaged side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weightgen.errors import InputError, UsageError, printable
from weightgen.models.architecture import Architecture
from weightgen.models.libraries import build
from weightgen.models.names import resolve
from weightgen.starts.start import Start


def architecture_of(starts: list[Start], model: str | None, arguments: Mapping[str, Any]) -> Architecture:
    """Return the architecture that all starts share; raises UsageError where they do not."""
    having = [s for s in starts if s.directory and s.kind != "scratch-flops"]
    if model is not None:
        architecture, origin = build(resolve(model), arguments), f"--model {model}"
    elif having:
        architecture, origin = having[0].source.architecture, having[0].text
    else:
        raise UsageError("no start says which architecture to train: add --model NAME")
    for start in having:
        shapes = start.source.architecture.shapes
        if shapes != architecture.shapes:
            name = next(n for n in {**architecture.shapes, **shapes} if architecture.shapes.get(n) != shapes.get(n))
            raise UsageError(
                f"{printable(start.text)} is of another architecture than {printable(origin)}: "
                f"'{printable(name)}' is {_shape(shapes, name)}, expected {_shape(architecture.shapes, name)}"
            )
        missing = [n for n in shapes if n not in start.source.stored]
        if missing:
            raise InputError(
                f"{printable(start.text)}: has no tensor '{printable(missing[0])}' ({len(missing)} missing): "
                "a start must be complete"
            )
    return architecture


def _shape(shapes: Mapping[str, tuple[int, ...]], name: str) -> str:
    return str(list(shapes[name])) if name in shapes else "absent"
