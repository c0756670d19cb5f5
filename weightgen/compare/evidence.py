"""What a race found, in Markdown: for reports and for the model card of a start."""

from __future__ import annotations

import re
from collections.abc import Iterable

from weightgen.compare.cells import Cell, cells, columns, watched
from weightgen.compare.schema import Results, StartFields
from weightgen.errors import UsageError, did_you_mean, printable

ACTIVE = re.compile(r"[\\`*_\[\]<>#|~$&@]|:(?=//)")
"""What Markdown, HTML in it, formulas, mentions and links are made of."""
CARD = ("test", "difference", "speedup", "0", "10 %", "100 %", "learning_rate")


def evidence(results: Results, start_name: str) -> str:
    """Return the section "Evidence" of a start's model card; raises UsageError for an unknown start."""
    names = [s["name"] for s in results["starts"]]
    if start_name not in names:
        raise UsageError(f"no start '{printable(start_name)}' in this race.{did_you_mean(start_name, names)}")
    start = results["starts"][names.index(start_name)]
    against = [s for s in results["starts"] if s["name"] == results["baseline"] and s is not start]
    return f"""## Evidence

{_subject(results)}. {found(start)}

{markdown_table(results, [start, *against])}

{_intervals(results)} Repeat it:

{code_block(results["command"])}
"""


def markdown_table(results: Results, starts: Iterable[StartFields]) -> str:
    """Return a table of some starts of a race."""
    headings = {word: text for word, text in columns(results).items() if word in CARD}
    lines = ["| Start | " + " | ".join(map(escaped, headings.values())) + " |", "|---" * (len(headings) + 1) + "|"]
    for start in starts:
        row = cells(start, results)
        lines.append(f"| {escaped(start['name'])} | " + " | ".join(_cell(row[word]) for word in headings) + " |")
    return "\n".join(lines)


def found(start: StartFields) -> str:
    """Return the sentence of a start, with its name."""
    diverged = f"; diverged with seed {', '.join(map(str, start['diverged']))}" if start["diverged"] else ""
    return f"**{escaped(start['name'])}**: {escaped(start['sentence'])}{diverged}."


def section(results: Results) -> str:
    """Return a whole race: sentences, table, command."""
    sentences = "\n".join(f"- {found(start)}" for start in results["starts"])
    return f"""## {escaped(results["title"])}

{_subject(results)}.

{sentences}

{markdown_table(results, results["starts"])}

{_intervals(results)} Repeat it:

{code_block(results["command"])}
"""


def escaped(text: str) -> str:
    """Return `text` as Markdown that shows it: names from files may hold markup, links and line ends."""
    return ACTIVE.sub(lambda found: f"&#{ord(found[0])};", printable(text, 2000))


def code_block(text: str) -> str:
    """Return `text` indented as code, which nothing inside it can end."""
    return "\n".join("    " + printable(line, 4000) for line in text.splitlines()) or "    "


def _subject(results: Results) -> str:
    budget, task = results["budget"], results["task"]
    seeds = "1 seed" if budget["seeds"] == 1 else f"{budget['seeds']} seeds"
    return (
        f"{escaped(task['name'])} on {escaped(task['data'])}, {budget['steps']} steps of {budget['batch_size']} items, "
        f"{seeds}"
    )


def _intervals(results: Results) -> str:
    said = "Parts of the budget are measured on validation items, the test set once at the end."
    if watched(results) == "test":
        said = "Every budget is measured on test items, with settings that were chosen for it on others."
    return f"In brackets: 95 % intervals over {results['interval']['over']}. {said}"


def _cell(cell: Cell) -> str:
    return cell.text.replace("<", "&lt;") + (f" ({cell.interval})" if cell.interval else "")
