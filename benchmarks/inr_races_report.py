"""What a race of fits found, kept in files, and its table and report."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from weightgen.compare.entries import Entry
from weightgen.compare.report import write_report
from weightgen.compare.results import RaceInfo, StartInfo, assemble
from weightgen.compare.runs import Run
from weightgen.compare.saved import cost_of
from weightgen.inr.fitting import Adaptation
from weightgen.inr.start import Start
from weightgen.publishing.versions import environment

DRAWS = 10_000  # of the bootstrap


@dataclass(frozen=True)
class Found:
    """What one start reached."""

    chosen: dict[int, tuple[int, Adaptation]]
    """For each mark, how many steps to make and how."""
    scores: np.ndarray
    """(marks + 1, signals), the first row the start itself."""
    losses: np.ndarray
    """The same, of what is fitted."""
    seconds: float
    flops: float
    """Operations of the fits to the last mark."""


def paired(gains: np.ndarray, seed: int = 0) -> str:
    """Return the mean of paired differences and its 95 % interval, by bootstrap over signals."""
    means = gains[np.random.default_rng(seed).integers(len(gains), size=(DRAWS, len(gains)))].mean(1)
    low, high = np.quantile(means, (0.025, 0.975))
    return f"{gains.mean():+.2f} ({low:+.2f} to {high:+.2f})"


def report(
    entries: Sequence[Entry], model: Start, found: dict[str, Found], marks: Sequence[int], out: Path, data: str
) -> None:
    """Write table.md, and what weightgen compare writes of a race."""
    kind, at = model.kind, [0, *marks]
    rows = [f"| {kind.metric.name} after | {' | '.join(map(str, at))} | gain over random after {at[-1]} |"]
    rows.append("|---|" + "---:|" * (len(at) + 1))
    baseline = found["random"].scores[-1]
    for name, one in found.items():
        gain = "" if name == "random" else paired(one.scores[-1] - baseline)
        rows.append(f"| {name} | {' | '.join(f'{v:.2f}' for v in one.scores.mean(1))} | {gain} |")
    if kind.name == "shape":
        unit = kind.config.model_dump()["truncation"]
        rows += ["", f"| distance, root mean square | {' | '.join(map(str, at))} |", "|---|" + "---:|" * len(at)]
        for name, one in found.items():
            error = unit * np.sqrt(one.losses).mean(1)
            rows.append(f"| {name} | {' | '.join(f'{v:.4f}' for v in error)} |")
    (out / "table.md").write_text("\n".join(rows) + "\n")
    print("\n".join(rows))
    runs, infos = [], []
    for entry in entries:
        one = found[entry.name]
        final = one.chosen[at[-1]][1]
        scores = one.scores.astype(np.float32)
        runs.append(Run(entry.name, 0, final.rate, np.array(at), scores, scores[-1], one.seconds, one.flops))
        told: dict[str, Any] = {"chosen": {str(m): [n, a.model_dump()] for m, (n, a) in one.chosen.items()}}
        rate = None if final.learned_steps else final.rate
        making = cost_of(Path(entry.directory)) if entry.directory else 0.0
        infos.append(StartInfo(entry.name, entry.name, entry.kind, rate, (), making, told))
    info = RaceInfo(
        title=f"{kind.name} signals, {len(baseline)} held out",
        task=f"fit {kind.name}",
        data=data,
        metric=kind.metric,
        steps=at[-1],
        batch_size=len(baseline),
        baseline="random",
        recipe="",
        command=shlex.join(["python", "benchmarks/inr_races.py", *sys.argv[1:]]),
        environment=environment(),
    )
    results = assemble(runs, infos, info)
    (out / "results.json").write_text(json.dumps(results, indent=1, allow_nan=False) + "\n")
    write_report([results], out)


def dumped(found: Found) -> str:
    chosen = {str(m): [n, a.model_dump()] for m, (n, a) in found.chosen.items()}
    told = {"scores": found.scores.tolist(), "losses": found.losses.tolist()}
    return json.dumps({"chosen": chosen, **told, "seconds": found.seconds, "flops": found.flops})


def loaded(text: str) -> Found:
    told = json.loads(text)
    chosen = {int(m): (n, Adaptation.model_validate(a)) for m, (n, a) in told["chosen"].items()}
    return Found(chosen, np.array(told["scores"]), np.array(told["losses"]), told["seconds"], told["flops"])
