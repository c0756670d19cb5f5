"""Tell what benchmarks/generator.py found, as tables in Markdown.

    python benchmarks/generator_report.py results --ours subspace

Intervals are those of a bootstrap over concepts, 95 %, of differences paired by concept; seeds, of training a
generator and of fine-tuning, are averaged first.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from weightgen.compare.cards import add_section

SPLITS = ("paraphrase", "strength", "composition", "operation")
DRAWS = 10_000
CEILING = "own network, converged"
Found = dict[str, dict[str, dict[str, list[float]]]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--ours", default="subspace, snapped")
    parser.add_argument("--card", type=Path, help="generator into whose model card the first table goes")
    words = parser.parse_args()
    found = over_seeds(json.loads((words.results / "step0.json").read_text()))
    first = step_zero(found, words.ours)
    print(first)
    if words.card is not None:
        add_section(words.card, first.replace("### PSNR", "## PSNR", 1))
    print(other_measures(found))
    print(distances(found))
    curves = {file.stem[7:].replace("-", " "): json.loads(file.read_text()) for file in tables(words.results, "curves")}
    if curves:
        print(fine_tuning(curves, words.ours.replace(",", "")))
    longer = {file.stem[5:].replace("-", " "): json.loads(file.read_text()) for file in tables(words.results, "long")}
    if longer:
        print(steps_to_own(longer, found))


def over_seeds(found: Any) -> Found:
    """Return what was found before training, each measure (seeds, K) as its mean over seeds (K,)."""
    return {
        name: {s: {m: np.mean(values, 0).tolist() for m, values in split.items()} for s, split in splits.items()}
        for name, splits in found.items()
    }


def tables(results: Path, kind: str) -> list[Path]:
    """Return the files of a kind, in order."""
    return sorted(results.glob(f"{kind}-*.json"))


def step_zero(found: Found, ours: str) -> str:
    """Return PSNR before training, and how far ours is ahead of each way."""
    count = {split: len(found[ours][split]["psnr"]) for split in SPLITS}
    lines = ["### PSNR at step 0, and in brackets the lead of `" + ours + "`", ""]
    lines += [header("weights", [f"{s} ({count[s]})" for s in SPLITS])]
    for name, splits in found.items():
        cells = []
        for split in SPLITS:
            scores, mine = np.array(splits[split]["psnr"]), np.array(found[ours][split]["psnr"])
            lead = "" if name == ours else f" ({interval(mine - scores)})"
            cells.append(f"{scores.mean():.1f}{lead}")
        lines.append(row(name, cells))
    lines += ["", "Share of the way from the nearest network to the converged ones, at step 0:", ""]
    lines += [header("weights", SPLITS)]
    for name in found:
        if name not in ("nearest", CEILING):
            lines.append(row(name, [share(found, name, split) for split in SPLITS]))
    return "\n".join([*lines, ""])


def share(found: Found, name: str, split: str) -> str:
    """Return what part of the way from `nearest` to the ceiling a way is, with its interval."""
    low, high, here = (np.array(found[n][split]["psnr"]) for n in ("nearest", CEILING, name))
    draws = np.random.default_rng(0).integers(len(low), size=(DRAWS, len(low)))
    shares = (here - low)[draws].mean(1) / (high - low)[draws].mean(1)
    ends = np.percentile(shares, [2.5, 97.5])
    return f"{(here - low).mean() / (high - low).mean():.0%} ({ends[0]:.0%} to {ends[1]:.0%})"


def other_measures(found: Found) -> str:
    """Return SSIM and L1 before training."""
    lines = ["### SSIM / mean absolute error at step 0", "", header("weights", SPLITS)]
    for name, splits in found.items():
        lines.append(row(name, [f"{mean(splits[s]['ssim']):.3f} / {mean(splits[s]['l1']):.4f}" for s in SPLITS]))
    return "\n".join([*lines, ""])


def distances(found: Found) -> str:
    """Return how far generated networks are from their own and from the nearest training network."""
    lines = ["### Distances: to the own network / to the nearest training network", ""]
    lines += [header("weights", [f"{s}, {kind}" for s in SPLITS[:3] for kind in ("weights", "outputs")])]
    for name, splits in found.items():
        cells = []
        for split in SPLITS[:3]:
            has = splits[split]
            cells.append(f"{mean(has['to own']):.2f} / {mean(has['to nearest']):.2f}")
            cells.append(f"{mean(has['outputs to own']):.3f} / {mean(has['outputs to nearest']):.3f}")
        lines.append(row(name, cells))
    return "\n".join([*lines, ""])


def fine_tuning(curves: dict[str, Any], ours: str) -> str:
    """Return PSNR through fine-tuning, and how far ours is ahead of each way at each mark."""
    marks = curves[ours]["marks"]
    title = f"PSNR after {', '.join(map(str, marks))} steps of fine-tuning, {len(curves[ours]['strength'])} seeds"
    lines = [f"### {title}", "", header("weights", ["rate", *SPLITS])]
    for name, curve in curves.items():
        cells = [" / ".join(f"{v:.1f}" for v in np.array(curve[s]).mean((0, 2))) for s in SPLITS]
        lines.append(row(name, [f"{curve['rate']:g}", *cells]))
    lines += ["", f"Lead of `{ours}`, at {' / '.join(map(str, marks[1:]))} steps:", "", header("over", SPLITS)]
    for name, curve in curves.items():
        if name == ours:
            continue
        cells = []
        for split in SPLITS:
            leads = np.array(curves[ours][split]).mean(0) - np.array(curve[split]).mean(0)
            cells.append("<br>".join(interval(lead) for lead in leads[1:]))
        lines.append(row(name, cells))
    return "\n".join([*lines, ""])


def steps_to_own(longer: dict[str, Any], found: Found) -> str:
    """Return after how many steps the mean PSNR is that of the own networks less 1 dB."""
    lines = ["### Steps to the own networks' mean PSNR less 1 dB, one seed", ""]
    lines += [header("weights", ["rate", "strength", "composition"])]
    for name, curve in longer.items():
        cells = [f"{curve['rate']:g}"]
        for split in ("strength", "composition"):
            wanted = mean(found["own network"][split]["psnr"]) - 1
            values = np.array(curve[split]).mean(1)
            reached = [mark for mark, value in zip(curve["marks"], values, strict=True) if value >= wanted]
            cells.append(f"{reached[0]}" if reached else f"not in {curve['marks'][-1]} ({values[-1]:.1f} dB)")
        lines.append(row(name, cells))
    return "\n".join([*lines, ""])


def interval(leads: np.ndarray) -> str:
    """Return the mean of paired differences with its bootstrap interval."""
    draws = np.random.default_rng(0).integers(len(leads), size=(DRAWS, len(leads)))
    low, high = np.percentile(leads[draws].mean(1), [2.5, 97.5])
    return f"{leads.mean():+.1f}: {low:+.1f} to {high:+.1f}"


def mean(values: list[float]) -> float:
    """Return the mean of numbers."""
    return float(np.mean(values))


def header(first: str, names: Any) -> str:
    """Return the first two lines of a table."""
    return row(first, names) + "\n|---|" + "---:|" * len(list(names))


def row(name: str, cells: Any) -> str:
    """Return a line of a table."""
    return f"| {name} | " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()
