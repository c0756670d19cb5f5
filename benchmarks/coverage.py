"""How far the axis tables reach: source/target pairs of timm and transformers, planned and counted.

    python benchmarks/coverage.py --out benchmarks/coverage.md

timm: every architecture against the nearest smaller one of its class that has no size above its own and no kind of
parameter of its own; one without such a partner is in no pair. transformers: model types with a tiny configuration
against half its width and depth. No weights are read: plans need shapes only. Where no table covers a pair, its axes
are derived, which runs the real networks: without --all only for the smallest pair of each class and structure.
Without --all, modules other than those of MAIN are represented by a few of their architectures.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import platform
import signal
import sys
import time
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from timm_pairs import MAIN, PER_MODULE, timm_pairs
from tiny_configs import TYPES, tiny_config

RESULTS = ("table", "derived", "shape", "refused", "out of time", "not built")


Job = tuple[str, str, str, str, bool, float]
"""Library, class or model type, larger, smaller, whether to derive axes, seconds."""


@dataclass(frozen=True)
class Outcome:
    """What became of one pair."""

    library: str
    kind: str
    pair: str
    result: str
    why: str = ""


def plan_pair(source: Any, target: Any, derive: bool) -> tuple[str, str]:
    """Return how a pair was planned, and why not better; raises what the planner raises."""
    from weightgen.errors import CoverageError
    from weightgen.models.derive import derive_pair
    from weightgen.models.source import Source
    from weightgen.recipe import SubcloneRecipe, make_recipe
    from weightgen.subcloning.by_shape import plan_by_shape
    from weightgen.subcloning.methods import resolve_method
    from weightgen.subcloning.planner import build_plan

    recipe = make_recipe(SubcloneRecipe, {"src": "memory", "dst": "memory", "method": "selection"})
    method = resolve_method(
        recipe.method, recipe.choose, recipe.heads, recipe.depth, recipe.scale, recipe.importance, calibrated=False
    )
    weights = _shapes_only(source.shapes)
    opened = Source(None, source, weights, {n: n for n in source.shapes}, (), None)
    layouts, result, why = None, "table", ""
    if has_table(source):
        try:
            layouts = source.layout(), target.layout()
        except CoverageError as error:
            why = str(error)
    if layouts is None:
        if not derive:
            why = why or "no table (derivation not tried)"
        else:
            try:
                layouts, result = derive_pair(source, target), "derived"
            except CoverageError as error:
                why = str(error)
    if layouts is not None:
        plan = build_plan(opened, target, layouts, method)
    else:
        result, plan = "shape", plan_by_shape(opened, target, method, 0, None)
    missing = [t.name for t in plan.tensors if t.action == "initialised"]
    if missing:
        why = f"{why}; " * bool(why) + f"{len(missing)} of {len(plan.tensors)} tensors left at init"
    return result, why


def has_table(architecture: Any) -> bool:
    """Tell whether there is a table for an architecture."""
    from weightgen.models.families import find_family

    return find_family(architecture.adapter.families, architecture.kind) is not None


def _shapes_only(shapes: Any) -> Any:
    import torch

    from weightgen.models.memory_weights import MemoryWeights

    # Zeros of one element seen as whole tensors: shapes and dtypes without memory.
    return MemoryWeights({n: torch.zeros(()).expand(s) for n, s in shapes.items()})


class _TimeUp(BaseException):
    """Not an Exception, so that no broad handler on the way swallows it."""


def _alarm(*_: Any) -> None:
    raise _TimeUp


def work(job: Job) -> Outcome:
    """Plan one pair within its time."""
    from weightgen.models.libraries import build
    from weightgen.models.libraries.transformers import Transformers
    from weightgen.models.reference import Reference

    library, kind, large, small, derive, timeout = job
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    pair = f"{large} → {small}" if library == "timm" else kind
    result, why = "not built", ""
    signal.signal(signal.SIGPROF, _alarm)
    signal.setitimer(signal.ITIMER_PROF, timeout)
    try:
        if library == "timm":
            source, target = (build(Reference(n, "timm", n), {}) for n in (large, small))
        else:
            source, target = (Transformers().from_config(tiny_config(kind, half)) for half in (False, True))
        result = "refused"
        result, why = plan_pair(source, target, derive)
    except _TimeUp:
        result = "out of time"
        why = f"not done within {timeout:g} s of processor time"
    except Exception as error:  # whatever a model raises is a row of the table, never the end of the run
        why = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"[:160]
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return Outcome(library, kind, pair, result, why)


def jobs(options: argparse.Namespace, pool: Any) -> list[Job]:
    """Return the pairs, those with a table first: derivations take longest."""
    from weightgen.models.families import TRANSFORMERS

    derive, seconds = not options.no_derive, options.timeout
    from_configs: list[Job] = [("transformers", t, "", "", derive and t not in TRANSFORMERS, seconds) for t in TYPES]
    covered: list[Job] = []
    uncovered: list[Job] = []
    seen: set[tuple[str, str, frozenset[str]]] = set()
    for large, small in timm_pairs(pool, options.most * 1e6, options.all):
        structure = large.kind, large.module, small.structure
        if large.covered:
            covered.append(("timm", large.kind, large.name, small.name, False, seconds))
        elif options.all or structure not in seen:
            uncovered.append(("timm", large.kind, large.name, small.name, derive, seconds))
        seen.add(structure)
    return sorted(covered + from_configs, key=lambda job: job[4]) + uncovered


def report(outcomes: Iterable[Outcome], command: str, sampled: bool, unreached: int) -> str:
    """Write the table."""
    import timm
    import torch
    import transformers

    found = list(outcomes)
    versions = (
        f"torch {torch.__version__.partition('+')[0]}, timm {timm.__version__}, transformers {transformers.__version__}"
    )
    lines = ["# Coverage of the axis tables", "", f"    {command}", ""]
    lines.append(f"{versions}, Python {platform.python_version()}.")
    if sampled:
        lines.append(
            f"Sampled: all architectures of {', '.join(MAIN)}; of timm's other modules about {PER_MODULE} each, and of "
            "those without a table only the smallest pair of each class and structure."
        )
    lines.append("The limit of time is this script's: the library itself has none, and might derive such a pair.")
    if unreached:
        lines.append(f"{unreached} pairs, none of them covered by a table, were not reached within the time given.")
    lines += ["", "| library | pairs | " + " | ".join(RESULTS) + " |", "|---|" + "---|" * (len(RESULTS) + 1)]
    for library in ("timm", "transformers"):
        own = Counter(o.result for o in found if o.library == library)
        lines.append(f"| {library} | {own.total()} | " + " | ".join(str(own[r]) for r in RESULTS) + " |")
    lines += [
        "",
        "## By class",
        "",
        "| library | class | " + " | ".join(RESULTS) + " |",
        "|---|---|" + "---|" * len(RESULTS),
    ]
    classes: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for outcome in found:
        classes[outcome.library, outcome.kind][outcome.result] += 1
    for (library, kind), own in sorted(classes.items()):
        lines.append(f"| {library} | {kind} | " + " | ".join(str(own[r] or "") for r in RESULTS) + " |")
    lines += ["", "## Why", "", "| pair | result | why |", "|---|---|---|"]
    for o in sorted(found, key=lambda o: (RESULTS.index(o.result), o.library, o.kind, o.pair)):
        if o.why:
            lines.append(f"| {o.pair} | {o.result} | {o.why.replace('|', '/')} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the pairs in two processes and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="write the table here instead of printing it")
    parser.add_argument("--limit", type=int, help="only so many pairs")
    parser.add_argument("--timeout", type=float, default=30.0, help="seconds of processor time per pair")
    parser.add_argument("--minutes", type=float, default=10.0, help="stop after so long")
    parser.add_argument("--most", type=float, default=700.0, help="largest architecture, in million parameters")
    parser.add_argument("--all", action="store_true", help="every pair of the classes without a table, too")
    parser.add_argument("--no-derive", action="store_true", help="do not derive axes")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    start, outcomes = time.monotonic(), []
    with multiprocessing.get_context("spawn").Pool(2, initializer=_one_thread) as pool:
        todo = list(jobs(options, pool))[: options.limit]
        for i, outcome in enumerate(pool.imap_unordered(work, todo), 1):
            outcomes.append(outcome)
            print(f"{i}/{len(todo)} {time.monotonic() - start:.0f}s {outcome}", file=sys.stderr, flush=True)
            if time.monotonic() - start > options.minutes * 60:
                break
    text = report(
        outcomes, "python benchmarks/coverage.py " + " ".join(sys.argv[1:]), not options.all, len(todo) - len(outcomes)
    )
    options.out.write_text(text, encoding="utf-8") if options.out else print(text)


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


if __name__ == "__main__":
    main()
