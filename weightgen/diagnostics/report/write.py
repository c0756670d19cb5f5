"""The files of a diagnosis."""

from __future__ import annotations

import json
from pathlib import Path

from weightgen.diagnostics.diagnosis import Diagnosis
from weightgen.diagnostics.report.page import page
from weightgen.diagnostics.report.picture import picture
from weightgen.errors import UsageError, printable
from weightgen.publishing.files import write_files

PAGE, DATA, PICTURE, RECIPE = "report.html", "diagnosis.json", "curves.png", "recipe.yaml"
FILES = (PAGE, DATA, PICTURE, RECIPE)


def check_directory(directory: Path, force: bool) -> None:
    """Raise UsageError where `directory` is a file, or holds other things than a diagnosis and `force` is not given."""
    shown = printable(str(directory))
    if directory.exists() and not directory.is_dir():
        raise UsageError(f"{shown}: is a file. Choose a directory with --out.")
    if force or not directory.is_dir():
        return
    found = {entry.name for entry in directory.iterdir()}
    if found and not (found <= set(FILES) and DATA in found):
        raise UsageError(
            f"{shown}: holds other things than a diagnosis. Choose another directory with --out,\n"
            "or write into this one with --force."
        )


def write_report(diagnosis: Diagnosis, directory: Path) -> None:
    """Write diagnosis.json, report.html, curves.png where there are curves, and recipe.yaml: all of them, or none."""
    made = {
        DATA: (json.dumps(diagnosis.to_json(), indent=1, allow_nan=False) + "\n").encode(),
        RECIPE: diagnosis.recipe.encode(),
        PAGE: page(diagnosis).encode(),
    }
    drawn = picture(diagnosis)
    if drawn is not None:
        made[PICTURE] = drawn
    write_files(directory, made)
    if drawn is None:
        (directory / PICTURE).unlink(missing_ok=True)  # of an earlier diagnosis
