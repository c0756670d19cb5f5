"""What a source's files are: their sha256 for the lineage of the result, held against the manifest beside them."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from weightgen.errors import InputError, printable
from weightgen.publishing.manifest import NAME, is_ours, read_manifest
from weightgen.reading.json_files import read_json


def check_sizes(files: Iterable[Path]) -> None:
    """Raise InputError for a file whose size is not the one in the manifest beside it."""
    for file in files:
        record = _recorded(file)
        if record is not None and file.stat().st_size != record["size"]:
            raise _changed(file, f"{record['size']} bytes", f"{file.stat().st_size}")


class Hashing:
    """sha256 of a source's files, taken on another core while the transfer runs."""

    def __init__(self, files: Iterable[Path]) -> None:
        self._files = list(files)
        self._found: dict[Path, dict[str, Any]] = {}
        self._error: OSError | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            for file in self._files:
                with file.open("rb") as stream:
                    digest = hashlib.file_digest(stream, "sha256").hexdigest()
                self._found[file] = {"size": file.stat().st_size, "sha256": digest}
        except OSError as error:
            self._error = error

    def result(self) -> dict[str, Any]:
        """Wait and return {file name: size and sha256}; raises InputError where a manifest says otherwise."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        for file, found in self._found.items():
            record = _recorded(file)
            if record is not None and found["sha256"] != record["sha256"]:
                raise _changed(file, f"sha256 {record['sha256'][:16]}...", f"{found['sha256'][:16]}...")
        return {file.name: found for file, found in self._found.items()}


def recorded_cost(directory: Path | None) -> dict[str, Any]:
    """Return what making a source took, as weightgen recorded it; empty where somebody else made it."""
    if directory is None or not (directory / NAME).is_file():
        return {}
    manifest = read_json(directory / NAME)
    return dict(manifest.get("cost", {})) if is_ours(manifest) else {}


def _recorded(file: Path) -> dict[str, Any] | None:
    """Return what the manifest in the file's directory says of it; None where weightgen wrote no manifest there."""
    manifest = file.parent / NAME
    if not manifest.is_file() or not is_ours(read_json(manifest)):
        return None
    record: dict[str, Any] | None = read_manifest(file.parent)["files"].get(file.name)
    if record is None:
        raise _changed(file, "no such file", "one")
    return record


def _changed(file: Path, expected: str, found: str) -> InputError:
    return InputError(
        f"{printable(str(file))}: changed since its manifest was written: expected {expected}, found {found}.\n"
        f"Fetch or make it again; to see all that changed: weightgen verify {printable(str(file.parent))}"
    )
