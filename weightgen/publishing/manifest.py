"""The manifest of a checkpoint: size and SHA-256 of every file, written last and checked against the disk."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from weightgen.errors import CheckError, InputError, printable
from weightgen.reading.files import open_regular, read_small
from weightgen.reading.json_files import strict_json

NAME = "manifest.json"
SCHEMA = 1
MAX_MANIFEST = 10_000_000  # 200 bytes a file: room for 50,000 files
MAX_LISTED = 20  # problems named in one message
# What git and the hub add to a directory they manage; no library loads anything from there.
FOREIGN = (".git", ".gitattributes", ".cache")


def write_manifest(directory: Path, extra: Mapping[str, Any]) -> None:
    """Force every file below `directory` to disk and write its manifest, with the fields of `extra`."""
    taken = {"schema", "created_by", "files"} & set(extra)
    if taken:
        raise ValueError(f"manifest fields {sorted(taken)} are reserved")
    files: dict[str, dict[str, Any]] = {}
    for name in sorted(_files_below(directory)):
        if name == NAME:
            raise ValueError(f"{NAME} is written by publish, not by its caller")
        size, digest = _measure(directory / name, sync=True)
        files[name] = {"size": size, "sha256": digest}
    content = {"schema": SCHEMA, "created_by": f"weightgen {_version()}", "files": files, **extra}
    with open(directory / NAME, "x", encoding="utf-8") as file:
        file.write(json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
        file.flush()
        os.fsync(file.fileno())
    for folder, _, _ in os.walk(directory, topdown=False):
        sync_directory(Path(folder))


def read_manifest(directory: Path) -> dict[str, Any]:
    """Return the manifest; raises InputError when there is none that can be trusted to be one."""
    path = Path(directory) / NAME
    if not os.path.lexists(path):
        raise _invalid(path, "there is no manifest, so this is not a weightgen checkpoint")
    raw = read_small(path, MAX_MANIFEST)
    try:
        content = strict_json(raw)
    except ValueError as error:
        raise _invalid(path, f"not valid JSON ({error})") from None
    if not isinstance(content, dict) or type(content.get("schema")) is not int:
        raise _invalid(path, "expected an object with an integer 'schema'")
    if content["schema"] != SCHEMA:
        raise InputError(
            f"{printable(str(path))}: expected schema {SCHEMA}, found {content['schema']}. "
            "Use the version of weightgen that wrote it."
        )
    files = content.get("files")
    if not isinstance(files, dict):
        raise _invalid(path, "expected 'files' to map names to size and sha256")
    for name, value in files.items():
        if not _is_relative(name):
            raise _invalid(path, f"file name '{printable(name)}' leaves the directory")
        if not _is_record(value):
            raise _invalid(path, f"file '{printable(name)}': expected a size and a sha256")
    return content


def find_problems(directory: Path) -> list[str]:
    """Name each file that was changed, is missing or was added; empty when all is as published."""
    directory = Path(directory)
    files = read_manifest(directory)["files"]
    problems = []
    for name, record in files.items():
        path = directory / name
        if not os.path.lexists(path):
            problems.append(f"missing: {printable(name)}")
            continue
        try:
            size, digest = _measure(path)
        except InputError as error:
            problems.append(f"unreadable: {printable(name)} ({error})")
            continue
        if size != record["size"]:
            problems.append(f"changed: {printable(name)} (expected {record['size']} bytes, found {size})")
        elif digest != record["sha256"]:
            problems.append(
                f"changed: {printable(name)} (expected sha256 {record['sha256'][:12]}, found {digest[:12]})"
            )
    added = sorted(set(_files_below(directory)) - set(files) - {NAME})
    return problems + [f"added: {printable(name)}" for name in added]


def is_ours(manifest: Mapping[str, Any]) -> bool:
    """Whether weightgen wrote a manifest; other programs have files of that name."""
    return str(manifest.get("created_by", "")).startswith("weightgen ")


def strangers(directory: Path, manifest: Mapping[str, Any]) -> list[str]:
    """Return what lies in a directory beside what its manifest lists, what git and the hub keep there included."""
    known = {NAME, *manifest["files"]}
    folders = {name.rsplit("/", depth)[0] for name in known for depth in range(1, name.count("/") + 1)}
    found = [name for name in sorted(os.listdir(directory)) if name in FOREIGN]
    for place, inside, _ in os.walk(directory):
        below = Path(place).relative_to(directory)
        inside[:] = [f for f in inside if (below / f).as_posix() not in FOREIGN]
        found += [name for name in ((below / f).as_posix() for f in inside) if name not in folders | set(known)]
    return found + sorted(set(_files_below(directory)) - known - set(found))


def check(directory: Path) -> dict[str, Any]:
    """Return the manifest when every file is as published; raises CheckError or InputError."""
    problems = find_problems(directory)
    if problems:
        shown = problems[:MAX_LISTED]
        if len(problems) > MAX_LISTED:
            shown.append(f"and {len(problems) - MAX_LISTED} more")
        raise CheckError(
            f"{printable(str(directory))}: not as published.\n{'; '.join(shown)}.\n"
            "Do not use it: publish it again, or fetch it from where it came."
        )
    return read_manifest(directory)


def sync_directory(directory: Path) -> None:
    """Force the names in a directory to disk."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _version() -> str:
    try:
        return importlib.metadata.version("weightgen")
    except importlib.metadata.PackageNotFoundError:  # run from a source tree
        return "unknown"


def _invalid(path: Path, what: str) -> InputError:
    return InputError(f"{printable(str(path))}: {what}. Publish the checkpoint again.")


def _is_relative(name: str) -> bool:
    # Lexical: the answer must not depend on what is on this disk.
    parts = name.split("/")
    return name.isprintable() and "\\" not in name and name != NAME and not {"", ".", ".."} & set(parts)


def _is_record(value: Any) -> bool:
    if not isinstance(value, dict) or type(value.get("size")) is not int or not isinstance(value.get("sha256"), str):
        return False
    return value["size"] >= 0 and re.fullmatch("[0-9a-f]{64}", value["sha256"]) is not None


def _measure(path: Path, sync: bool = False) -> tuple[int, str]:
    descriptor, size = open_regular(path)
    with open(descriptor, "rb", buffering=0) as file:
        if sync:
            os.fsync(file.fileno())
        return size, hashlib.file_digest(file, "sha256").hexdigest()


def _files_below(directory: Path) -> Iterator[str]:
    for folder, folders, names in os.walk(directory):
        relative = Path(folder).relative_to(directory)
        if relative == Path("."):
            folders[:] = [f for f in folders if f not in FOREIGN]
            names = [n for n in names if n not in FOREIGN]
        # A link to a directory is not entered, so it counts as a file of its own.
        links = [f for f in folders if os.path.islink(os.path.join(folder, f))]
        yield from ((relative / name).as_posix() for name in (*names, *links))
