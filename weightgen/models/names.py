"""What a user may write after --src and --dst, and what it resolves to.

    vit-large                       a preset (`weightgen models` lists them); resnet50 spells resnet-50, too
    timm:vit_large_patch16_224.tag  a timm architecture, its tag naming the pretrained weights
    hf:ORG/NAME@revision            a transformers repository on the hub
    hf-hub:ORG/NAME@revision        a timm repository on the hub, as timm writes it
    path/to/directory               a checkpoint on disk: of transformers, of timm, of a network that weightgen defines
    package:NAME/path/inside        such a directory inside an installed Python package, which is not imported
    same                            (--dst only) the source's own configuration

A name that could mean two things is refused, and both spellings are shown.
"""

from __future__ import annotations

import re
from pathlib import Path

from weightgen.errors import InputError, UsageError, WeightgenError, did_you_mean, printable
from weightgen.models.libraries import LIBRARIES
from weightgen.models.reference import Reference
from weightgen.reading.files import in_package
from weightgen.reading.json_files import read_json

PRESETS = [name for library in LIBRARIES.values() for name in library.presets]


def preset(name: str) -> Reference:
    """Return what a preset stands for."""
    return next(library.presets[name] for library in LIBRARIES.values() if name in library.presets)


def spelled(text: str) -> str:
    """Return the preset that a text spells but for hyphens, underscores and case, as `ResNet50`; or the text itself."""
    return SPELLED.get(_letters(text), text)


def _letters(text: str) -> str:
    return re.sub("[-_]", "", text).lower()


SPELLED = {_letters(name): name for name in PRESETS}
"""Presets by their letters and digits."""


def resolve(text: str) -> Reference:
    """Resolve a name; raises UsageError where it is unknown or could mean two things, InputError for a bad path."""
    scheme, colon, rest = text.partition(":")
    if not text:
        return _reject(text)
    if colon and scheme == "preset" and spelled(rest) in PRESETS:
        return preset(spelled(rest))
    owner = next((library for library in LIBRARIES.values() if colon and scheme in library.schemes), None)
    named = owner.refer(text, scheme, rest) if owner is not None else None
    if named is not None:
        return named
    if colon and scheme == "package" and rest:
        return _directory(text, in_package(rest, "directory"))
    path = Path(rest) if colon and scheme == "local-dir" else Path(text)
    explicit = text.startswith((".", "/", "~")) or (colon and scheme == "local-dir")
    path = path.expanduser()
    if text in PRESETS and not explicit:
        if path.is_dir():
            raise UsageError(f"'{text}' is both a preset and a directory here: write preset:{text} or ./{text}")
        return preset(text)
    if path.is_dir() and (explicit or "/" not in text or (path / "config.json").exists()):
        return _directory(text, path)
    if path.is_file():
        raise UsageError(
            f"'{printable(text)}' is a file: name its architecture with --src timm:NAME or a directory, "
            f"and pass the file with --src-weights {printable(text)}"
        )
    if explicit:
        raise InputError(f"{printable(text)}: no such directory")
    return preset(spelled(text)) if spelled(text) in PRESETS else _reject(text)


def local_directory(text: str | None) -> Path | None:
    """Return the directory that a name stands for, None where it stands for something else, or for nothing."""
    try:
        return resolve(text).directory if text else None
    except WeightgenError:  # who uses the name says what is wrong with it
        return None


def local_path(text: str | None) -> Path | None:
    """Return the file or folder that a user named, None where there is none of that name."""
    path = Path(text).expanduser() if text else None
    return path if path is not None and path.exists() else None


def _directory(text: str, path: Path) -> Reference:
    config_file = path / "config.json"
    if not config_file.exists():
        raise InputError(f"{printable(text)}: no config.json; a checkpoint directory holds config.json and weights")
    config = read_json(config_file)
    found = (library.recognise(text, path, config) for library in LIBRARIES.values())
    reference = next((reference for reference in found if reference is not None), None)
    if reference is None:
        marks = " nor ".join(library.mark for library in LIBRARIES.values() if library.mark)
        raise InputError(f"{printable(str(config_file))}: neither {marks}")
    return reference


def _reject(text: str) -> Reference:
    shown = printable(text)
    if re.fullmatch(r"[\w.-]+/[\w.@-]+", text):
        raise UsageError(
            f"'{shown}' could be a transformers or a timm repository: write hf:{shown} or hf-hub:{shown}\n"
            f"(and no directory of that name exists here)"
        )
    if re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)+(\.[\w]+)?", text):
        raise UsageError(f"'{shown}' is neither a preset nor a directory: for the timm architecture write timm:{shown}")
    raise UsageError(
        f"'{shown}' is neither a preset nor a directory.{did_you_mean(text, PRESETS)} See: weightgen models"
    )
