"""`weightgen render`: draw what was fitted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter, validators

from weightgen.commands.options import Json, Quiet
from weightgen.console import Console, shell_word


def render(
    fits: Path,
    /,
    *,
    out: Path,
    name: str | None = None,
    size: Annotated[int | None, Parameter(validator=validators.Number(gte=1))] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Draw a fitted field: a picture, a sound, a mesh.

    Parameters
    ----------
    fits
        Directory that weightgen fit --out wrote.
    out
        File to write; its suffix says the format.
    name
        Which signal, where the directory holds several.
    size
        Of the longest side (samples, cells of the grid), instead of the signal's own.
    """
    from weightgen.inr.drawing import render_fit
    from weightgen.inr.fits import load_fits, pick

    render_fit(pick(load_fits(fits), name), out, size)
    Console(json, quiet).result({"written": str(out)}, f"wrote {shell_word(out)}")
    return 0
