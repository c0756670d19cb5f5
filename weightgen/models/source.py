"""A source: an architecture, its weights on disk, and the names under which they are stored there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from weightgen.errors import InputError, printable
from weightgen.models.architecture import Architecture
from weightgen.models.libraries import build
from weightgen.models.named_tensors import Weights
from weightgen.models.reference import Reference, unreachable
from weightgen.models.stored_names import match_names, missing_names
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
    missing: tuple[str, ...] = ()
    """Names of the architecture that the file lacks, though its library would want them."""


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
    found = match_names(architecture, list(weights.entries))
    if not found.stored and not found.converted:
        expected = next(iter(architecture.shapes))
        other = next(iter(weights.entries), "nothing")
        raise InputError(
            f"{shown} does not hold {architecture.name}: expected '{expected}' and the like, found '{printable(other)}'"
        )
    if found.adapter is not None:
        raise InputError(
            f"{shown}: holds adapters beside the weights ('{printable(found.adapter)}').\n"
            "Merge them first, as peft does with merge_and_unload(), and save the model again."
        )
    if found.converted:
        weights = architecture.adapter.converted(architecture, directory, shown)
        found = match_names(architecture, list(weights.entries))
    for name, file_name in found.stored.items():
        expected_shape, found_shape = architecture.shapes[name], tuple(weights.entries[file_name].shape)
        if expected_shape != found_shape:
            raise InputError(
                f"{shown}: '{printable(file_name)}' is {list(found_shape)}, {architecture.name} expects "
                f"{list(expected_shape)}\nIf the source was built with other settings, pass them: --src-args key=value"
            )
    for one, other in found.doubled.values():
        if not _same(weights, one, other):
            raise InputError(
                f"{shown}: '{printable(one)}' and '{printable(other)}' differ, and config.json ties them: the library "
                "would not.\nSay so, where the config has the field: --src-args tie_word_embeddings=false"
            )
    missing = missing_names(architecture, found.stored)
    return Source(reference, architecture, weights, found.stored, tuple(found.unused), directory, tuple(missing))


def _same(weights: Weights, one: str, other: str) -> bool:
    """Whether two tensors hold the same bytes, a piece of each in memory at a time."""
    if weights.entries[one].shape != weights.entries[other].shape:
        return False
    pieces = zip(weights.iter_rows(one), weights.iter_rows(other), strict=True)
    return all(np.array_equal(a, b) for a, b in pieces)
