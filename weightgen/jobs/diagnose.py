"""Diagnose: starts -> models -> probe -> measures -> report."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from weightgen.console import SILENT, Progress, Reporter, shell_word, unheard
from weightgen.diagnostics import COMPARISONS, MEASURES
from weightgen.diagnostics.comparison import Comparison
from weightgen.diagnostics.diagnosis import Diagnosed, Diagnosis
from weightgen.diagnostics.measure import Measure, Measurement, Probe
from weightgen.diagnostics.probing import settle
from weightgen.diagnostics.report import FILES, write_report
from weightgen.diagnostics.report.write import check_directory
from weightgen.diagnostics.text import diagnosis_text
from weightgen.errors import InputError, UsageError, did_you_mean, printable
from weightgen.jobs.made import Made
from weightgen.jobs.probing import prober_of
from weightgen.models.architecture import Architecture
from weightgen.models.names import local_directory
from weightgen.publishing.destination import refuse_overlap
from weightgen.publishing.versions import environment, versions
from weightgen.recipe.diagnosis import DiagnoseRecipe
from weightgen.starts.agreement import architecture_of
from weightgen.starts.start import Start, parse_start, parse_starts
from weightgen.training.threads import use_threads


def diagnose(
    recipe: DiagnoseRecipe, out: Path | None, *, force: bool = False, reporter: Reporter = SILENT
) -> Made[Diagnosis]:
    """Measure starts before any training, and write the report where one is wanted."""
    if out is not None:
        # before the work, not after it
        refuse_overlap(out, [local_directory(parse_start(text).directory) for text in recipe.start])
        check_directory(out, force)
    with reporter.progress("measuring") as progress:
        diagnosis = measured(recipe, progress)
    text = diagnosis_text(diagnosis)
    if out is not None:
        write_report(diagnosis, out)
        text += (
            f"\n\nreport: {shell_word(out / FILES[0])}\n"
            f"again:  weightgen run {shell_word(out / 'recipe.yaml')} --out {shell_word(out)}"
        )
    return Made(out, diagnosis.to_json(), text, diagnosis)


def measured(recipe: DiagnoseRecipe, progress: Progress = unheard) -> Diagnosis:
    """Measure each start of a recipe on the same batch, alone or against another start.

    A measure that cannot be taken of a model says why and leaves the others alone. Raises UsageError for unknown
    measures, starts of different architectures, or inputs that are not known; InputError where nothing could be taken.
    """
    known: Mapping[str, Measure | Comparison] = MEASURES if recipe.against is None else COMPARISONS
    measures = chosen(recipe.measure, known)
    if not recipe.start:
        raise UsageError("measure what? Name a start: a checkpoint directory, an initialiser, or random")
    starts = parse_starts(recipe.start)
    others = [parse_start(recipe.against)] if recipe.against is not None else []
    architecture = architecture_of([*starts, *others], recipe.model, recipe.model_args)
    use_threads(recipe.threads)  # sums over other numbers of parts round differently
    prober, data = prober_of(recipe, architecture, starts), ""
    before = settle(prober(_model(others[0], architecture, recipe.seed))[0]) if others else None
    made: list[Diagnosed] = []
    for start in starts:
        probe, data = prober(_model(start, architecture, recipe.seed))
        settle(probe)
        found: dict[str, Measurement | str] = {}
        for name in measures:
            progress(len(made) * len(measures) + len(found), len(starts) * len(measures), f"{start.name}: {name}")
            found[name] = _taken(name, probe, before)
        made.append(Diagnosed(start.name, start.text, start.kind, found))
    own = recipe.model_copy(update={"out": None}).to_yaml()
    told = {n: {"paper": known[n].paper, "says": known[n].says} for n in measures}
    facts = {**environment(), **versions(architecture.library)}
    diagnosis = Diagnosis(f"{architecture.library} {architecture.name}", data, told, made, own, facts)
    if diagnosis.empty:
        reasons = [f"{n}: {found}" for start in made[:1] for n, found in start.found.items()]
        raise InputError("nothing could be measured:\n" + "\n".join(reasons[:2]))
    return diagnosis


def chosen(names: list[str], known: Mapping[str, Measure | Comparison] = MEASURES) -> list[str]:
    """Return the measures to take, in the registry's order; by default those that take seconds."""
    for name in names:
        if name in MEASURES and name not in known:
            raise UsageError(f"{name} is of one model alone: leave --against out")
        if name in COMPARISONS and name not in known:
            raise UsageError(f"{name} compares two models: add --against START")
        if name not in known and name != "all":
            raise UsageError(
                f"no measure '{printable(name)}'.{did_you_mean(name, [*known])}\nSee: weightgen diagnose --list"
            )
    if not names:
        return [n for n, measure in known.items() if measure.cost == "seconds"]
    return [n for n in known if n in names or "all" in names]


def _taken(name: str, probe: Probe, before: Probe | None) -> Measurement | str:
    try:
        return MEASURES[name].function(probe) if before is None else COMPARISONS[name].function(before, probe)
    except UsageError as error:
        return str(error)
    except Exception as error:  # models are arbitrary code: whatever one raises, the other measures go on
        return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"


def _model(start: Start, architecture: Architecture, seed: int) -> torch.nn.Module:
    model = start.model(architecture, seed)
    config: Any = getattr(model, "config", None)
    if hasattr(config, "use_cache"):
        config.use_cache = False  # it is no output of the network
    return model
