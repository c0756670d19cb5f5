"""`weightgen report`: one report of one or several races."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from weightgen.commands.options import Flag, Json, Quiet
from weightgen.console import Console
from weightgen.errors import UsageError, printable


def report(
    races: Annotated[list[Path], Parameter(consume_multiple=True)],
    /,
    *,
    out: Path = Path("report"),
    force: Flag = False,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Put the results of races into one report: report.html, report.md and curves.png.

    Parameters
    ----------
    races
        Directories that hold a results.json, or such files.
    out
        Directory to write; an earlier report there is replaced.
    force
        Write into a directory that holds other things; they stay.
    """
    from weightgen.compare.report import FILES, is_report, write_report
    from weightgen.compare.results import read_results
    from weightgen.compare.text import results_text

    if not races:
        raise UsageError("of which races? Name their directories")
    results = [read_results(race) for race in races]
    if out.exists() and not out.is_dir():
        raise UsageError(f"{printable(str(out))}: is a file. Choose a directory with --out.")
    if out.is_dir() and not force and not is_report(out):
        raise UsageError(
            f"{printable(str(out))}: holds other things than a report. Choose another directory with --out,\n"
            "or write into this one with --force."
        )
    write_report(results, out)
    page = out / FILES[0]
    data = {"report": [str(out / name) for name in FILES], "races": results}
    Console(json, quiet).result(data, "\n\n".join([*map(results_text, results), printable(str(page), 500)]))
    return 0
