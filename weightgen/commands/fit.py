"""`weightgen fit`: fit new signals from a learned start; `weightgen render`: draw what was fitted."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter, validators

from weightgen.commands.options import Force, Json, PrintRecipe, Quiet, show_recipe
from weightgen.console import Console, table
from weightgen.errors import printable
from weightgen.recipe import FitRecipe

SHOWN = 20  # signals of a table


def fit(
    start: str,
    data: str,
    /,
    *,
    recipe: Annotated[FitRecipe | None, Parameter(name="*")] = None,
    print_recipe: PrintRecipe = False,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Fit signals in a few steps from a learned start.

    Parameters
    ----------
    start
        Directory of the start, as weightgen metalearn writes it.
    data
        A signal's file, or a folder or zip of them.
    """
    console = Console(json, quiet)
    found = (recipe or FitRecipe()).model_copy(update={"start": start, "data": data})
    if print_recipe:
        return show_recipe(found, console)
    return carry_out_fits(found, console, force)


def carry_out_fits(recipe: FitRecipe, console: Console, force: bool) -> int:
    """Fit, write what was asked for, and say how well it went and what to type next. Exits 1 where a fit diverged."""
    import numpy as np

    from weightgen.fit_signals import fit_signals, unique

    with console.progress("fitting") as progress:
        made = fit_signals(recipe, force=force, progress=progress)
    first = made.curve[0]
    last = np.array([np.nan if s.score is None else s.score for s in made.fits.signals])
    rows = [
        (printable(s.name, 40), f"{a:.2f}", f"{b:.2f}") for s, a, b in zip(made.fits.signals, first, last, strict=True)
    ]
    lines = [table(rows[:SHOWN], ("signal", f"{made.metric} at 0", f"at {recipe.steps}"), right=(1, 2))]
    if len(rows) > 1:
        lines.append(f"mean of {len(rows)}: {first.mean():.2f} -> {last.mean():.2f}")
    lines += [f"wrote {name}" for name in made.written]
    if recipe.out is not None:
        which = shlex.quote(recipe.out)
        if len(rows) > 1:
            name = made.fits.signals[0].name
            which += f"/{unique([name])[0]}" if recipe.separate else f" --name {shlex.quote(name)}"
        lines.append(f"draw:   weightgen render {which} --out drawn{made.fits.kind.suffixes[0]}")
    elif not made.written:
        lines.append("Nothing was kept: add --render FILE, --curve FILE or --out DIR.")
    data = {
        "metric": made.metric,
        "steps": recipe.steps,
        "adaptation": made.adaptation.model_dump(),
        "signals": [{"name": s.name, "score": s.score} for s in made.fits.signals],
        "diverged": made.diverged,
        "remarks": made.remarks,
        "written": made.written,
    }
    for remark in made.remarks:
        console.warn(remark)
    hint = "Try a lower --rate." if recipe.rate else "Try --optimizer adam --rate 1e-4."
    for name in made.diverged:
        console.warn(f"{printable(name)}: the loss became infinite; its best step was kept. {hint}")
    console.result(data, "\n".join(lines))
    return 1 if made.diverged else 0


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
    from weightgen.fit_signals import render_fit
    from weightgen.inr.fits import load_fits, pick

    render_fit(pick(load_fits(fits), name), out, size)
    Console(json, quiet).result({"written": str(out)}, f"wrote {out}")
    return 0
