"""Kinds of signals by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weightgen.errors import UsageError, did_you_mean, printable
from weightgen.inr.config import checked
from weightgen.inr.signals.audio import Audio
from weightgen.inr.signals.images import Images
from weightgen.inr.signals.kind import Kind
from weightgen.inr.signals.shapes import Shapes
from weightgen.inr.signals.tomography import Tomography
from weightgen.inr.signals.views import Views

KINDS: dict[str, type[Kind]] = {"image": Images, "audio": Audio, "shape": Shapes, "ct": Tomography, "views": Views}


def make_kind(name: str, conventions: Mapping[str, Any], where: str = "--signal-args") -> Kind:
    """Return a kind with its conventions; raises UsageError for an unknown kind or convention."""
    if name not in KINDS:
        raise UsageError(f"{where}: unknown kind of signal '{printable(name)}'.{did_you_mean(name, [*KINDS])}")
    kind = KINDS[name]
    return kind(checked(kind.Config, conventions, where))
