"""One piece of a race of fits: the choice of rates of a start, or its fits of all test signals with one seed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter, ValidationError

from weightgen.compare.entries import Entry, make_start, parse_entry
from weightgen.compare.jobs import PATIENCE, RESULT, TUNING, finished, job_directory
from weightgen.compare.measured import Measured, read_measured, read_scores, unusable
from weightgen.compare.runs import Run
from weightgen.errors import InputError, UsageError, WeightgenError, printable
from weightgen.inr.fitting import evaluator, looked_at
from weightgen.inr.search import recommend
from weightgen.inr.signals.division import divided, names_digest
from weightgen.inr.signals.files import splits
from weightgen.inr.signals.kind import Signal
from weightgen.inr.start import Recommended, Start, load_start
from weightgen.publishing.checkpoint import publish
from weightgen.publishing.manifest import read_manifest
from weightgen.publishing.work_directory import work_directory
from weightgen.reading.json_files import read_json
from weightgen.recipe import CompareRecipe, MetalearnRecipe, read_recipe
from weightgen.starts.start import refuse_same_names
from weightgen.training.threads import use_threads

BUDGETS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
TUNED = 6  # signals that rates are chosen on
SHOWN, SHOWN_AT, SIDE = 3, (0, 1, 2, 5, 20), 96  # signals that are drawn, after which steps, and their size
_RATES = TypeAdapter(dict[int, Recommended])


@dataclass(frozen=True)
class FieldJob:
    """The choice of a start's rates (no seed), or its fits with one."""

    start: int
    seed: int | None
    steps: int

    def directory(self, out: Path, entry: Entry) -> Path:
        """Return where it is published."""
        return job_directory(out, self.start, entry.name, self.seed, "rates")


@dataclass(frozen=True)
class FieldSetup:
    """What all jobs of a race of fits share."""

    entries: list[Entry]
    model: Start
    """The first learned start: what it says of fields and signals holds for all."""
    tune: list[Signal]
    test: list[Signal]
    budgets: tuple[int, ...]


def set_up(recipe: CompareRecipe, anew: bool = False) -> FieldSetup:
    """Open the starts and the signals, once, or `anew`: a second race in one process may find others there.

    Raises WeightgenError where they do not fit together.
    """
    if anew:
        _set_up.cache_clear()
    return _set_up(recipe.model_dump_json())


@lru_cache(maxsize=1)
def _set_up(text: str) -> FieldSetup:
    recipe = CompareRecipe.model_validate_json(text)
    use_threads(recipe.threads)
    entries = [parse_entry(t) for t in recipe.start]
    refuse_same_names([(e.name, e.text) for e in entries])
    learned = [e for e in entries if e.directory]
    if not learned:
        raise UsageError("no start says what the fields and signals are: name a directory of weightgen metalearn")
    starts = [load_start(Path(e.directory).expanduser()) for e in learned]
    for entry, start in zip(learned[1:], starts[1:], strict=True):
        if start.kind.name != starts[0].kind.name or start.kind.outputs != starts[0].kind.outputs:
            raise UsageError(
                f"{printable(entry.text)} is for {start.kind.name} signals of {start.kind.outputs} values, "
                f"{printable(learned[0].text)} for {starts[0].kind.name} signals of {starts[0].kind.outputs}"
            )
        for word in start.kind.read_by:
            ours, theirs = getattr(start.kind.config, word), getattr(starts[0].kind.config, word)
            if ours != theirs:
                raise UsageError(
                    f"{printable(entry.text)} reads signals with {word}={ours}, {printable(learned[0].text)} with "
                    f"{word}={theirs}: a race needs the same of all. Learn one of them anew with --signal-args."
                )
    tune, test = _signals(recipe.data, starts[0], [Path(e.directory).expanduser() for e in learned])
    budgets = tuple(sorted({b for b in BUDGETS if b < recipe.steps} | {recipe.steps}))
    return FieldSetup(entries, starts[0], tune, test, budgets)


def _learned_from(start: Path, data: str) -> bool:
    """Return whether a start was learned from this data; where that is not to be found any more, from some so named."""
    try:
        recipe = read_recipe(start / "recipe.yaml", MetalearnRecipe)
    except WeightgenError:  # gone, or another version's or stage's
        return False
    ours, theirs = Path(data).expanduser(), Path(recipe.data).expanduser()
    return ours.samefile(theirs) if ours.exists() and theirs.exists() else ours.name == theirs.name


def _same_names(start: Path, digest: str) -> bool:
    try:
        return bool(read_manifest(start).get("signal_names") == digest)
    except InputError:  # a start without its manifest
        return False


def _signals(data: str, model: Start, learned: Sequence[Path]) -> tuple[list[Signal], list[Signal]]:
    """Return signals to choose settings by, and those to race on: all, or what learning held out if a start knows them.

    Raises InputError where that is no longer to be told, because signals came or went since it was learned.
    """
    tune, test = divided(model.kind, data)
    digest, known = names_digest(tune, test), False
    for start in learned:
        if _same_names(start, digest):
            known = True
        elif _learned_from(start, data):
            raise InputError(
                f"{printable(data)}: signals came or went since {printable(str(start))} was learned from it, so which\n"
                "of them it has seen cannot be told. Race on others (under another name), or learn the start anew."
            )
    if not known and "test" not in splits(data):
        order = [*test, *tune]  # in an order of chance
        count = min(TUNED, len(order) // 2)
        tune, test = order[:count], order[count:]
    if not tune or not test:
        raise InputError(f"{printable(data)}: a race needs signals to choose rates by and others to fit: at least 2")
    return tune[:TUNED], [model.kind.standard(s) for s in test]


def carry_out_fits(recipe: CompareRecipe, job: FieldJob, out: Path, step_done: Callable[[int], None]) -> Path:
    """Choose a start's rates, or fit the test signals, and publish what came of it."""
    setup = set_up(recipe)
    entry = setup.entries[job.start]
    target = job.directory(out, entry)
    if finished(target):
        return target
    seed = recipe.seed + (TUNING if job.seed is None else job.seed)
    start = make_start(entry, setup.model, setup.tune, seed)
    with (
        work_directory(target.with_name(target.name + ".training"), patience=PATIENCE),
        publish(target, force=True) as staged,
    ):
        if job.seed is None:
            found = recommend(start, setup.tune, setup.budgets, recipe.lr_trials, seed)
            told = {str(b): r.model_dump() for b, r in found.items()}
            (staged.path / "recommended.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
        else:
            recommended = read_rates(FieldJob(job.start, None, job.steps).directory(out, entry), setup.budgets)
            _fit_all(start, setup, recommended, staged.path)
        staged.manifest.update(stage="compare", recipe_hash=recipe.hash)
    step_done(job.steps)
    return target


def read_rates(directory: Path, budgets: Sequence[int]) -> dict[int, Recommended]:
    """Return what a start's trials recommend, by budget; raises InputError where they do not for one of these."""
    file = directory / "recommended.json"
    try:
        found = _RATES.validate_python(read_json(file))
    except ValidationError as error:
        raise unusable(file, error.errors()[0]["msg"].lower()) from error
    if not {budgets[0], budgets[-1]} <= found.keys():
        raise unusable(file, f"expected what suits {budgets[0]} and {budgets[-1]} steps")
    return found


def _fit_all(start: Start, setup: FieldSetup, recommended: dict[int, Recommended], directory: Path) -> None:
    """Fit every test signal once for each budget, with the settings that are best for it."""
    curve = np.zeros((len(setup.budgets) + 1, len(setup.test)), np.float32)
    began, kind = time.perf_counter(), start.kind
    for i, signal in enumerate(setup.test):
        itself = kind.itself(signal) if i < SHOWN else None
        if itself is not None:
            kind.save(itself, directory / f"signal-{i}.png", kind.shape(signal))
        for row, budget in enumerate((0, *setup.budgets)):
            how = recommended.get(budget, recommended[setup.budgets[0]])
            run = start.fit([signal], min(budget, how.steps), how.adaptation)
            curve[row, i] = run.final[0]
            if itself is not None and budget in SHOWN_AT:
                drawn = kind.aimed(signal).render(evaluator(start.field, run.tensors), kind.shape(signal), SIDE)
                kind.save(drawn, directory / f"signal-{i}-step-{budget}.png", kind.shape(signal))
    flops = flops_of_fit(start, setup.test, setup.budgets[-1])
    result = {"marks": [0, *setup.budgets], "seconds": time.perf_counter() - began, "flops": flops}
    (directory / RESULT).write_text(json.dumps(result) + "\n", encoding="utf-8")
    np.save(directory / "curve.npy", curve, allow_pickle=False)


def read_fits(directory: Path, name: str, seed: int, rate: float, budgets: Sequence[int], signals: int) -> Run:
    """Return a finished run; its test scores are those at the end of its curve, which nothing was chosen by.

    Raises InputError where what is there is no fits of so many signals for these budgets.
    """
    found = read_measured(Measured, directory / RESULT)
    if found.marks != [0, *budgets]:
        raise unusable(directory / RESULT, f"expected the marks {[0, *budgets]}")
    curve = read_scores(directory / "curve.npy", [len(found.marks)], signals)
    if not np.isfinite(curve).any():
        raise unusable(directory / "curve.npy", "holds no finite score")
    lowest = np.nanmin(np.where(np.isfinite(curve), curve, np.nan))
    curve = np.where(np.isfinite(curve), curve, lowest)
    return Run(name, seed, rate, np.array(found.marks), curve, curve[-1], found.seconds, found.flops)


def flops_of_fit(start: Start, signals: Sequence[Signal], steps: int, points: int = 0) -> float:
    """Return the operations of fitting each signal once, `points` as of `Start.fit`.

    A gradient costs three times the products of a pass.
    """
    kind = start.kind
    evaluated = sum(looked_at(kind, s, points) * kind.points(s) / kind.count(s) for s in signals)
    products = sum(p.numel() for n, p in start.field.named_parameters() if n.endswith("weight"))
    return 3 * 2 * products * steps * evaluated
