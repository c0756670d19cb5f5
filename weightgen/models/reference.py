"""What a name stands for: a library, and what it builds a model from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from weightgen.errors import NetworkError, UsageError, printable


@dataclass(frozen=True)
class Reference:
    """A resolved name: which library builds the model, from what."""

    text: str
    library: str
    """Key of `libraries.LIBRARIES`."""
    name: str = ""
    """timm architecture, hub repository, or a network of weightgen's own."""
    revision: str | None = None
    directory: Path | None = None
    model_type: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    """Configuration carried by a transformers preset, so that a target needs no network."""
    hub: bool = False
    """Whether the configuration itself has to come from the hub."""


def on_the_hub(library: str, text: str, scheme: str, rest: str) -> Reference:
    """Return the reference of `SCHEME:ORG/NAME[@REVISION]`; raises UsageError where it is no such thing."""
    name, _, revision = rest.partition("@")
    # ".." would climb out of the hub's cache; a revision may hold slashes (refs/pr/1).
    if ".." in rest or not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name) or not re.fullmatch(r"[\w./-]*", revision):
        raise UsageError(
            f"'{printable(text)}' is not a repository: write {scheme}:ORG/NAME or {scheme}:ORG/NAME@REVISION"
        )
    return Reference(text, library, name, revision or None, hub=True)


def unreachable(reference: Reference, error: Exception) -> NetworkError:
    """Return the error for a repository that cannot be reached: weights can come from elsewhere, a config cannot."""
    advice = "or the weights alone: --src-weights FILE.safetensors"
    if reference.hub:
        advice = "which holds config.json: without it the architecture is not known"
    return NetworkError(
        f"could not reach the hub for '{printable(reference.name)}' ({type(error).__name__})\n"
        f"Download it elsewhere and pass its directory, {advice}"
    )
