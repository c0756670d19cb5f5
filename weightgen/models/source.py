"""A source: an architecture, its weights on disk, and the names under which they are stored there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from weightgen.errors import InputError, printable
from weightgen.models.architecture import Architecture
from weightgen.models.libraries import build
from weightgen.models.named_tensors import Weights
from weightgen.models.reference import Reference, unreachable
from weightgen.models.weights import open_weights


@dataclass(frozen=True)
class Source:
    """Where weights come from."""

    reference: Reference | None
    architecture: Architecture
    weights: Weights
    stored: Mapping[str, str]
    """Name in the architecture's state dict -> name in the file."""
    unused: tuple[str, ...]
    """Names in the file that the architecture does not have."""
    directory: Path | None
    """Where tokenizer and preprocessor files lie, if anywhere."""


def open_source(
    reference: Reference,
    arguments: Mapping[str, Any],
    weights_path: Path | None = None,
    allow_pickle: bool = False,
) -> Source:
    """Open a source by name: build its architecture, find its weights, match their names and check every shape."""
    architecture = build(reference, arguments)
    if weights_path is not None:
        path, directory = weights_path, reference.directory
    elif reference.directory is not None:
        path = directory = reference.directory
    else:
        path = directory = download(reference, architecture)
    weights = open_weights(path, allow_pickle=allow_pickle)
    if weights_path is not None and directory is None and weights_path.is_dir():
        directory = weights_path
    return match(reference, architecture, weights, directory, path)


def download(reference: Reference, architecture: Architecture) -> Path:
    """Fetch a checkpoint into the hub's cache and return its directory.

    Raises NetworkError where that fails, InputError or UsageError where there is none.
    """
    from huggingface_hub import snapshot_download

    repository = architecture.adapter.repository(reference, architecture)
    patterns = ["*.json", "*.safetensors", "*.txt", "*.model"]
    try:
        return Path(snapshot_download(repository, revision=reference.revision, allow_patterns=patterns))
    except Exception as error:  # huggingface_hub raises its own, httpx's and OS errors for one and the same thing
        wanted = Reference(reference.text, reference.library, repository)
        raise unreachable(wanted, error) from error


def match(
    reference: Reference | None,
    architecture: Architecture,
    weights: Weights,
    directory: Path | None,
    path: Path | str,
) -> Source:
    """Pair the architecture's names with the file's; raises InputError where they do not fit."""
    shown = printable(str(path))
    stored, unused, converted = stored_names(architecture, list(weights.entries))
    if not stored and not converted:
        expected = next(iter(architecture.shapes))
        found = next(iter(weights.entries), "nothing")
        raise InputError(
            f"{shown} does not hold {architecture.name}: expected '{expected}' and the like, found '{printable(found)}'"
        )
    if converted:
        weights = architecture.adapter.converted(architecture, directory, shown)
        stored, unused, _ = stored_names(architecture, list(weights.entries))
    for name, file_name in stored.items():
        expected_shape, found_shape = architecture.shapes[name], tuple(weights.entries[file_name].shape)
        if expected_shape != found_shape:
            raise InputError(
                f"{shown}: '{printable(file_name)}' is {list(found_shape)}, {architecture.name} expects "
                f"{list(expected_shape)}\nIf the source was built with other settings, pass them: --src-args key=value"
            )
    return Source(reference, architecture, weights, stored, tuple(unused), directory)


def stored_names(architecture: Architecture, names: list[str]) -> tuple[dict[str, str], list[str], list[str]]:
    """Match file names to the architecture's.

    Returns (architecture name -> file name, names without a place, names that the library converts on loading).
    """
    shapes = architecture.shapes
    rename = architecture.adapter.renaming(architecture)
    base = getattr(architecture.model, "base_model_prefix", "")
    stored: dict[str, str] = {}
    unused, converted = [], []
    for name in names:
        renamed, needs_conversion = (name, False) if name in shapes else rename(name)
        candidates = [renamed, f"{base}.{renamed}", renamed.removeprefix(f"{base}."), renamed.removeprefix("model.")]
        candidates += [renamed.removeprefix("backbone."), renamed.removeprefix("encoder.")]
        known = next((c for c in candidates if c in shapes and c not in stored), None)
        if needs_conversion:
            converted.append(name)
        elif known is None:
            unused.append(name)
        else:
            stored[known] = name
    return stored, [n for n in unused if n not in architecture.tied], converted
