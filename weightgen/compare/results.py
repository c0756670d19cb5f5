"""results.json: what a race found, assembled from its runs, and read again with suspicion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from weightgen.compare.runs import Run
from weightgen.compare.schema import SCHEMA, Results
from weightgen.compare.sentences import Race, sentence
from weightgen.compare.statistics import DRAWS, Summary, summarise
from weightgen.errors import InputError, printable
from weightgen.reading.json_files import strict_json
from weightgen.starts.start import Kind
from weightgen.training.task import Metric
from weightgen.version import __version__

NAME = "results.json"
MAX_BYTES = 32 << 20  # 100 starts x 20 seeds x 500 marks are 20 MB


@dataclass(frozen=True)
class StartInfo:
    """What a race knows of a start besides its runs."""

    name: str
    text: str
    """The start as the user wrote it."""
    kind: Kind
    learning_rate: float | None
    """None where the start brings learned ones."""
    trials: tuple[tuple[float, float | None], ...] = ()
    """Learning rates that were tried, and the score of each on the tuning set; None where it diverged."""
    flops_making: float = 0.0
    lineage: Mapping[str, Any] = field(default_factory=dict)
    """JSON values: source, method, recipe, hashes."""


@dataclass(frozen=True)
class RaceInfo:
    """What all starts of a race share."""

    title: str
    task: str
    data: str
    metric: Metric
    steps: int
    batch_size: int
    baseline: str
    recipe: str
    """YAML."""
    command: str
    environment: Mapping[str, Any] = field(default_factory=dict)
    """JSON values: versions, device, precision."""


def assemble(
    runs: Sequence[Run], starts: Sequence[StartInfo], race: RaceInfo, draws: int = DRAWS, seed: int = 0
) -> Results:
    """Return the contents of results.json, starts in the order given.

    Raises ValueError where starts and runs do not belong together (see `statistics.summarise`).
    """
    found = summarise(runs, race.metric, race.baseline, draws, seed)
    if set(found) != {s.name for s in starts}:
        raise ValueError(f"runs of {', '.join(sorted(found))}, but starts {', '.join(sorted(s.name for s in starts))}")
    groups = {s.name: [r for r in runs if r.start == s.name] for s in starts}
    shared = Race(race.metric, race.baseline, race.steps, len(groups[race.baseline]))
    metric = {word: getattr(race.metric, word) for word in ("name", "higher_is_better", "exponentiate")}
    data = {
        "schema": SCHEMA,
        "created_by": f"weightgen {__version__}",
        "title": race.title,
        "task": {"name": race.task, "data": race.data, "metric": metric},
        "budget": {"steps": race.steps, "batch_size": race.batch_size, "seeds": shared.seeds},
        "interval": {"level": 0.95, "draws": draws, "over": "seeds and items" if shared.seeds > 1 else "items"},
        "baseline": race.baseline,
        "starts": [_start(s, groups[s.name], found[s.name], shared) for s in starts],
        "environment": dict(race.environment),
        "recipe": race.recipe,
        "command": race.command,
    }
    return check_results(data, NAME)


def read_results(path: Path) -> Results:
    """Return a results.json, or the one in a directory; raises InputError naming the field that is wrong."""
    file = path / NAME if path.is_dir() else path
    shown = printable(str(file))
    try:
        if not file.is_file():
            raise InputError(f"{shown}: no such file. Name the directory that a race wrote.")
        if file.stat().st_size > MAX_BYTES:
            raise InputError(f"{shown}: {file.stat().st_size} bytes, more than the {MAX_BYTES} that are read")
        return check_results(strict_json(file.read_bytes()), shown)
    except OSError as error:
        raise InputError(f"{shown}: {error.strerror}") from error
    except ValueError as error:
        raise InputError(f"{shown}: not valid JSON ({error})") from error


def check_results(data: Any, shown: str) -> Results:
    """Return `data` if it is what a race writes; raises InputError that begins with `shown`."""
    if not isinstance(data, dict) or "schema" not in data:
        raise InputError(f"{shown}: expected the results of a race with a 'schema', found none")
    if data["schema"] != SCHEMA:
        raise InputError(
            f"{shown}: schema {printable(str(data['schema']), 20)}, this weightgen reads {SCHEMA}. Use the one that "
            "wrote it."
        )
    try:
        results = TypeAdapter(Results).validate_python(data, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(f"{shown}: {printable(where)}: {printable(first['msg'])}") from error
    except RecursionError as error:
        raise InputError(f"{shown}: nested too deeply") from error
    names = [s["name"] for s in results["starts"]]
    if len(set(names)) != len(names) or results["baseline"] not in names:
        raise InputError(f"{shown}: the names of the starts must differ, and the baseline be one of them")
    for start in results["starts"]:
        _check_start(start, results, f"{shown}: start '{printable(start['name'], 40)}'")
    return results


def _check_start(start: Mapping[str, Any], results: Results, shown: str) -> None:
    curve = start["curve"]
    steps, lines = curve["steps"], [curve["mean"], curve["low"], curve["high"], *curve["seeds"]]
    if any(len(line) != len(steps) for line in lines) or len(curve["seeds"]) != results["budget"]["seeds"]:
        raise InputError(f"{shown}: the curve must have one value per mark and seed")
    if steps[0] != 0 or any(b <= a for a, b in pairwise(steps)):
        raise InputError(f"{shown}: the marks of the curve must rise from 0")
    if (start["difference"] is None) != (start["name"] == results["baseline"]):
        raise InputError(f"{shown}: every start but the baseline has a difference")
    for word in ("speedup", "speedup_best"):
        if (start[word]["value"] is None) == (start[word]["at_most"] is None):
            raise InputError(f"{shown}: {word} has either a value or at_most")


def _start(info: StartInfo, runs: Sequence[Run], summary: Summary, race: Race) -> dict[str, Any]:
    curve, difference = summary.curve, summary.difference
    return {
        "name": info.name,
        "text": info.text,
        "kind": info.kind,
        "learning_rate": info.learning_rate,
        "trials": [{"learning_rate": rate, "score": score} for rate, score in info.trials],
        "curve": {
            "steps": [int(s) for s in curve.steps],
            **{word: _floats(getattr(curve, word)) for word in ("mean", "low", "high")},
            "seeds": [_floats(line) for line in curve.seeds],
        },
        "milestones": {word: asdict(value) for word, value in summary.milestones.items()},
        "test": {**asdict(summary.test), "seeds": list(summary.test_seeds)},
        "difference": None if difference is None else asdict(difference),
        "speedup": asdict(summary.speedup),
        "speedup_best": asdict(summary.speedup_best),
        "flops_making": info.flops_making,
        "flops_per_step": float(np.mean([r.flops / max(int(r.marks[-1]), 1) for r in runs])),
        "seconds": float(np.mean([r.seconds for r in runs])),
        "diverged": sorted(r.seed for r in runs if r.diverged is not None),
        "sentence": sentence(summary, race),
        "lineage": dict(info.lineage),
    }


def _floats(values: np.ndarray) -> list[float]:
    return [float(v) for v in values]
