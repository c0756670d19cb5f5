"""Fits drawn to files: pictures, sounds, meshes."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from weightgen.errors import UsageError, printable
from weightgen.inr.fits import Fits
from weightgen.inr.fitting import evaluator
from weightgen.inr.signals.kind import Kind
from weightgen.publishing.files import write_file


def render_fit(fits: Fits, path: Path, size: int | None = None) -> None:
    """Draw a single fit to a file, which is there whole or not at all.

    Raises UsageError for a size or suffix that its kind does not know, or a format that cannot hold what was drawn,
    InputError where drawing or writing fails.
    """
    kind, shape, scale = fits.kind, fits.signals[0].shape, fits.signals[0].scale
    check_suffix(kind, path)
    if size is not None:
        kind.check_size(size)
    evaluate = evaluator(fits.field, fits.tensors)
    rendered = kind.render(lambda x: scale * evaluate(x), shape, size)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / f"drawn{path.suffix or kind.suffixes[0]}"
        try:
            kind.save(rendered, file, shape)
        except (ValueError, KeyError, RuntimeError) as error:  # what writers say of sizes and rates beyond a format
            shown, reason = printable(str(path)), printable(str(getattr(error, "error_string", error)))
            raise UsageError(f"{shown}: cannot be written ({reason}). Try another size or format.") from error
        write_file(path, file.read_bytes())


def check_suffix(kind: Kind, path: Path) -> None:
    """Raise UsageError for a suffix that fits of a kind are not drawn as."""
    if path.suffix and path.suffix.lower() not in kind.suffixes:
        known = ", ".join(kind.suffixes)
        raise UsageError(f"{printable(str(path))}: cannot be written: fits of {kind.name} signals are drawn as {known}")


def unique(names: list[str]) -> list[str]:
    """Return names that can be files of one folder: no separators, nothing hidden, none twice."""
    found: list[str] = []
    for name in names:
        plain = re.sub(r"[^\w.()+-]", "_", name).lstrip(".") or "signal"
        number = 1
        while (plain if number == 1 else f"{plain}-{number}") in found:
            number += 1
        found.append(plain if number == 1 else f"{plain}-{number}")
    return found
