"""report.html: one page that needs nothing else, and trusts no word it shows."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from weightgen.compare.cells import cells, columns, rate, watched
from weightgen.compare.report.chart import chart, look
from weightgen.compare.schema import PictureFields, Results
from weightgen.errors import printable_lines
from weightgen.publishing.report.numbers import number
from weightgen.version import __version__

WIDE, NARROW = (760, 400), (350, 300)
GENERATOR = '<meta name="generator" content="weightgen '


def page(results: Sequence[Results]) -> str:
    """Return the page: sentences, curves and table of each race, then how it was made."""
    assets = files("weightgen.compare.report") / "assets"
    style, script = ((assets / name).read_text("utf-8") for name in ("page.css", "page.js"))
    environment = Environment(
        autoescape=True, finalize=printable_lines, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string((assets / "page.html").read_text("utf-8"))
    return template.render(
        title=results[0]["title"] if len(results) == 1 else f"{len(results)} races of starts",
        version=__version__,
        style=Markup(style),
        script=Markup(script),
        policy=f"default-src 'none'; img-src data:; style-src {_source(style)}; script-src {_source(script)}; "
        "base-uri 'none'; form-action 'none'",
        races=[_race(race) for race in results],
    )


def _race(race: Results) -> dict[str, Any]:
    return {
        "results": race,
        "columns": columns(race),
        "watched": watched(race),
        "charts": [
            (f"{size} {scale}", Markup(chart(race, *pixels, log=scale == "log")))
            for size, pixels in (("wide", WIDE), ("narrow", NARROW))
            for scale in ("log", "linear")
        ],
        "starts": [
            {
                "fields": start,
                "look": look(race, start),
                "cells": cells(start, race),
                "trials": [
                    (rate(t["learning_rate"]), "diverged" if t["score"] is None else number(t["score"]))
                    for t in start["trials"]
                ],
                "rate": rate(start["learning_rate"]),
                "lineage": list(flat(start["lineage"])),
            }
            for start in race["starts"]
        ],
        "pictures": _pictures(race),
        "environment": list(flat(race["environment"])),
        "json": _embedded(race),
    }


def _pictures(race: Results) -> list[dict[str, Any]]:
    """Return for each signal what is shown beside the results, the steps, and a row of pictures for each start."""
    names = [start["name"] for start in race["starts"]]
    signals: dict[str, list[PictureFields]] = {}
    for picture in race.get("pictures", []):
        signals.setdefault(picture["signal"], []).append(picture)
    made = []
    for signal, found in signals.items():
        steps = sorted({p["step"] for p in found if p["start"] in names})
        results = {(p["start"], p["step"]): p for p in found if p["start"] in names}
        rows = [(name, [results.get((name, step)) for step in steps]) for name in names]
        beside = [p for p in found if p["start"] not in names]
        made.append({"signal": signal, "beside": beside, "steps": steps, "rows": rows})
    return made


def flat(data: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield the leaves of nested JSON values as ("source.sha256", "ab12..."); an empty mapping has none."""
    if isinstance(data, Mapping):
        for key, value in data.items():
            yield from flat(value, f"{path}.{key}" if path else str(key))
    elif isinstance(data, list) and any(isinstance(value, Mapping | list) for value in data):
        for index, value in enumerate(data):
            yield from flat(value, f"{path}.{index}" if path else str(index))
    else:
        text = ", ".join(map(str, data)) if isinstance(data, list) else data
        yield path, text if isinstance(text, str) else json.dumps(text)


def _embedded(race: Results) -> Markup:
    """The data for the script; no text in them can end the element that holds them."""
    told = {key: value for key, value in race.items() if key != "pictures"}  # which the page has already
    text = json.dumps(told, ensure_ascii=True, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def _source(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"
