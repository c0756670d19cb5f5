"""The results of a race for a terminal of 80 columns."""

from __future__ import annotations

import textwrap

from weightgen.compare.cells import cells, watched
from weightgen.compare.schema import Results
from weightgen.console import table
from weightgen.errors import printable

WIDTH = 80
SHOWN = {"learning_rate": "rate", "0": "0", "1 %": "1 %", "10 %": "10 %", "100 %": "100 %", "test": "test"}


def results_text(results: Results) -> str:
    """Return the sentences and the table, no line wider than 80 columns; names are made safe for a terminal."""
    budget, metric = results["budget"], results["task"]["metric"]["name"]
    seeds = "1 seed" if budget["seeds"] == 1 else f"{budget['seeds']} seeds"
    lines = [
        printable(results["title"], WIDTH),
        printable(
            f"{results['task']['name']}, {budget['steps']} steps of {budget['batch_size']} items, {seeds}", WIDTH
        ),
        "",
    ]
    for start in results["starts"]:
        said = f"{printable(start['name'])}: {printable(start['sentence'], 1000)}"
        if start["diverged"]:
            said += f"; diverged with {'seed' if len(start['diverged']) == 1 else 'seeds'} " + ", ".join(
                map(str, start["diverged"])
            )
        lines += _wrapped(said, "  ")
    note = _wrapped(
        f"0 to 100 %: {watched(results)} {printable(metric)} after that part of the budget; in brackets: 95 %."
    )
    return "\n".join([*lines, "", _table(results), "", *note])


def _wrapped(text: str, indent: str = "") -> list[str]:
    joined = text.replace(" %", "\xa0%")  # a number stays with its sign
    return [line.replace("\xa0%", " %") for line in textwrap.wrap(joined, WIDTH, subsequent_indent=indent)]


def _table(results: Results) -> str:
    rows: list[tuple[str, ...]] = []
    for start in results["starts"]:
        row = cells(start, results)
        speed = row["speedup"]
        # A bound says it all where the target was never reached.
        interval = f" ({speed.interval})" if speed.value is not None else ""
        rows.append((*(row[word].text for word in SHOWN), speed.text + interval))
    header = (*SHOWN.values(), "speed-up")
    taken = sum(2 + max(len(r[i]) for r in [header, *rows]) for i in range(len(header)))
    names = [printable(s["name"], max(WIDTH - taken, 5)) for s in results["starts"]]
    wide = [(name, *row) for name, row in zip(names, rows, strict=True)]
    return table(wide, ("start", *header), right=tuple(range(1, 8)))
