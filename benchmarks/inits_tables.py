"""The tables of inits.md: what each start was worth, and how well each measure of it foretold that. No torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from measures import Estimate, markdown_table
from scipy.stats import rankdata

CUT = ("selection", "subcloning", "shuffled:subcloning", "stats:subcloning")
"""Starts that are, or imitate, what was cut from a trained network."""
DRAWS = 10_000
Found = Mapping[str, Any]
"""What is kept of a network: `starts` and `measures`, by start."""
Numbers = Mapping[str, float]


def _log(value: float) -> float:
    return math.log(value) if value > 0 else -math.inf


@dataclass(frozen=True)
class Scalar:
    """One number of a measure, turned so that its paper expects better training where it is higher."""

    says: str
    value: Callable[[Numbers], float]


SCALARS: dict[str, Scalar] = {
    "variance": Scalar("outputs keep it: -abs log ratio", lambda n: -abs(_log(n["forward_last_over_first"]))),
    "criticality": Scalar("near 1: -abs log chi", lambda n: -abs(_log(n["chi"]))),
    "jacobian": Scalar("low condition", lambda n: -n["condition"]),
    "kernel": Scalar("low condition", lambda n: -n["condition"]),
    "gradsign": Scalar("high score", lambda n: n["score"]),
    "snip": Scalar("high sum", lambda n: n["sensitivity"]),
    "grasp": Scalar("high sum", lambda n: n["score"]),
    "synflow": Scalar("high sum", lambda n: n["log10_flow"]),
    "entropy": Scalar("high, of outputs", lambda n: n["entropy_of_outputs"]),
    "information": Scalar("high, outputs about classes", lambda n: n["outputs_about_classes"]),
    "alignment": Scalar("high stable rank", lambda n: n["smallest_stable_rank"]),
    "gaussianity": Scalar("low excess kurtosis", lambda n: -abs(n["excess_kurtosis"])),
    "interval-tightness": Scalar("high", lambda n: n["tightness"]),
    "scale-invariance": Scalar("many layers", lambda n: n["layers_cancelled"]),
    "sharpness": Scalar("low", lambda n: -n["largest_eigenvalue"]),
    "learning-rate": Scalar("high", lambda n: n["rate"]),
}
"""Chosen before any was held against a race: one number of each measure that gives one, and which side is good."""


def speedup(start: Mapping[str, Any]) -> float:
    """Return a start's speed-up, 0 where it never reached what random weights end at."""
    value = start["speedup"]["value"]
    return 0.0 if value is None else float(value)


def accuracy(start: Mapping[str, Any]) -> float:
    """Return a start's accuracy on the test images after training, mean over seeds."""
    return float(start["test"]["value"])


OUTCOMES: dict[str, Callable[[Mapping[str, Any]], float]] = {"speed-up": speedup, "test accuracy": accuracy}


def predictors(found: Found) -> dict[str, dict[str, float]]:
    """Return by predictor and start what it says, higher expected better; starts without a number are left out.

    A number that is not finite (an infinite condition) counts as the worst.
    """
    told: dict[str, dict[str, float]] = {}
    for name, scalar in SCALARS.items():
        told[name] = {}
        for start, measures in found["measures"].items():
            numbers = measures[name]
            if not isinstance(numbers, str):
                whole = all(v is not None for v in numbers.values())
                told[name][start] = scalar.value(numbers) if whole else _partly(scalar, numbers)
    for word, label in (("0", "accuracy before training"), ("10 %", "accuracy after a tenth of the steps")):
        told[label] = {name: start["milestones"][word]["value"] for name, start in found["starts"].items()}
    return told


def _partly(scalar: Scalar, numbers: Mapping[str, float | None]) -> float:
    try:
        return scalar.value({k: v for k, v in numbers.items() if v is not None})
    except KeyError:
        return -math.inf


def ranked(values: Sequence[float]) -> np.ndarray:
    """Return ranks with mean 0 and norm 1, ties shared; zeros where all values are the same."""
    ranks = rankdata(values) - (len(values) + 1) / 2
    norm = float(np.linalg.norm(ranks))
    return ranks / norm if norm > 0 else np.zeros(len(values))


Pairs = Sequence[tuple[np.ndarray, np.ndarray]]
"""Of each network, what a predictor says of its starts and how they did."""


def correlation(pairs: Pairs) -> float:
    """Return Spearman's correlation within networks, averaged with the weights n - 1; nan where none is defined."""
    terms = [(len(x) - 1, float(ranked(x) @ ranked(y))) for x, y in pairs if len(set(x)) > 1 and len(set(y)) > 1]
    return sum(n * r for n, r in terms) / sum(n for n, _ in terms) if terms else math.nan


def bootstrap(pairs: Pairs, draws: int = 1000, seed: int = 0) -> Estimate:
    """Return the correlation and the percentile interval over starts, drawn with replacement within each network."""
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(draws):
        rows = [rng.integers(len(x), size=len(x)) for x, _ in pairs]
        values.append(correlation([(x[i], y[i]) for (x, y), i in zip(pairs, rows, strict=True)]))
    low, high = np.nanpercentile(values, [2.5, 97.5]) if np.isfinite(values).any() else (math.nan, math.nan)
    return Estimate(correlation(pairs), float(low), float(high))


def chance(pairs: Pairs, draws: int = DRAWS, seed: int = 0) -> float:
    """Return how often outcomes that are permuted within networks correlate as strongly, to either side."""
    used = [(ranked(x), ranked(y)) for x, y in pairs if len(set(x)) > 1 and len(set(y)) > 1]
    if not used:
        return math.nan
    rng = np.random.default_rng(seed)
    weight = np.array([len(x) - 1 for x, _ in used])
    drawn = np.stack([rng.permuted(np.tile(y, (draws, 1)), axis=1) @ x for x, y in used], axis=1) @ weight
    return (1 + int((np.abs(drawn) >= abs(weight @ [x @ y for x, y in used]) - 1e-9).sum())) / (1 + draws)


def holm(chances: Mapping[str, float]) -> dict[str, float]:
    """Return the chances corrected for how many were looked at (Holm 1979); those that are nan do not count."""
    order = sorted((n for n, p in chances.items() if not math.isnan(p)), key=lambda n: chances[n])
    corrected, last = dict(chances), 0.0
    for i, name in enumerate(order):
        last = max(last, min(1.0, (len(order) - i) * chances[name]))
        corrected[name] = last
    return corrected


def pairs_of(kept: Mapping[str, Found], predictor: str, outcome: str, without: Sequence[str] = ()) -> dict[str, Any]:
    """Return by network what a predictor says of the starts and how they did."""
    made = {}
    for network, found in kept.items():
        told = {s: v for s, v in predictors(found)[predictor].items() if s not in without}
        if len(told) > 2:
            done = [OUTCOMES[outcome](found["starts"][s]) for s in told]
            made[network] = (np.array([*told.values()]), np.array(done))
    return made


def chosen_loss(kept: Mapping[str, Found], predictor: str) -> float:
    """Return the test accuracy lost, mean over networks, by taking the closed form that a predictor puts first."""
    pairs = [(x, y) for x, y in pairs_of(kept, predictor, "test accuracy", CUT).values() if len(set(x)) > 1]
    return float(np.mean([y.max() - y[x == x.max()].mean() for x, y in pairs])) if pairs else math.nan


def start_table(found: Found) -> str:
    """Return the starts of a network, the best on the test images first, as Markdown."""
    rows = []
    for name, start in sorted(found["starts"].items(), key=lambda item: -accuracy(item[1])):
        test, fast = start["test"], start["speedup"]
        rates = [t["learning_rate"] for t in start["trials"]]
        edge = " (edge)" if start["learning_rate"] in (min(rates), max(rates)) else ""
        text = "" if name == "random" else f"{_times(fast['low'])}-{_times(fast['high'])}"
        ratio = _times(fast["value"]) if fast["value"] is not None else f"< {_times(fast['at_most'])}"
        told = f"{test['value']:.3f} [{test['low']:.3f}, {test['high']:.3f}]"
        rows.append([name, told, f"{ratio} ({text})" if text else "1", f"{start['learning_rate']:.2g}{edge}"])
    return markdown_table(rows, ["start", "test accuracy", "speed-up", "learning rate"])


def correlation_table(kept: Mapping[str, Found], outcome: str) -> str:
    """Return for each predictor its rank correlation with an outcome, by network and over all, as Markdown."""
    names = [*SCALARS, *(n for n in predictors(next(iter(kept.values()))) if n not in SCALARS)]
    pairs = {name: pairs_of(kept, name, outcome) for name in names}
    chances = {name: chance([*pairs[name].values()]) for name in names}
    corrected = holm({n: chances[n] for n in SCALARS}) | {n: chances[n] for n in names if n not in SCALARS}
    rows = []
    for name in names:
        single = [_two(correlation([pairs[name][n]])) if n in pairs[name] else "" for n in kept]
        whole = bootstrap([*pairs[name].values()])
        span = "" if math.isnan(whole.value) else f" [{whole.low:+.2f}, {whole.high:+.2f}]"
        closed = correlation([*pairs_of(kept, name, outcome, CUT).values()])
        says = SCALARS[name].says if name in SCALARS else ""
        lost = chosen_loss(kept, name)
        ps = [("" if math.isnan(p) else f"{p:.2g}") for p in (chances[name], corrected[name])]
        rows.append(
            [
                name,
                says,
                *single,
                _two(whole.value) + span,
                *ps,
                _two(closed),
                "" if math.isnan(lost) else f"{lost:.3f}",
            ]
        )
    header = ["measure", "taken for good", *kept, "all [95 %]", "p", "p, Holm", "closed forms only", "its choice loses"]
    return markdown_table(rows, header)


def repeatable(kept: Mapping[str, Found]) -> str:
    """Return how well one seed ranks the starts as the others do, and what choices without a measure cost."""
    tests = {n: [s["test"]["seeds"] for s in found["starts"].values()] for n, found in kept.items()}
    rows = [np.array(t) for t in tests.values()]
    single = [correlation([(r[:, i], np.delete(r, i, 1).mean(1)) for r in rows]) for i in range(rows[0].shape[1])]
    closed = {n: {k: accuracy(s) for k, s in found["starts"].items() if k not in CUT} for n, found in kept.items()}
    blind = float(np.mean([max(c.values()) - float(np.mean([*c.values()])) for c in closed.values()]))
    shared = set.intersection(*(set(c) for c in closed.values()))
    always = {k: float(np.mean([max(c.values()) - c[k] for c in closed.values()])) for k in shared}
    best = sorted(always, key=lambda k: always[k])[:3]
    lines = [
        f"One seed's test accuracies and the mean of the others' correlate with {np.mean(single):.2f} (ranks).",
        f"A closed form drawn blindly loses {blind:.3f} of accuracy to the best of its network; the same one always:",
        ", ".join(f"{k} {always[k]:.3f}" for k in best) + f", random {always['random']:.3f}.",
    ]
    return "\n".join(lines)


def _times(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"


def _two(value: float) -> str:
    return "" if math.isnan(value) else f"{value:+.2f}"


def tables(kept: Mapping[str, Found]) -> str:
    """Return all tables as Markdown."""
    made = [f"## {name}\n\n{start_table(found)}" for name, found in kept.items()]
    whole = {name: found for name, found in kept.items() if "measures" in found}
    if whole:
        made += [f"## Rank correlation with {o}\n\n{correlation_table(whole, o)}" for o in OUTCOMES]
        made.append(repeatable(whole))
    return "\n\n".join(made)
