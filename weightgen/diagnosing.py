"""From a diagnose recipe to a diagnosis: starts -> models -> probe -> measures."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch

from weightgen.console import Update
from weightgen.diagnostics import COMPARISONS, MEASURES
from weightgen.diagnostics.comparison import Comparison
from weightgen.diagnostics.diagnosis import Diagnosed, Diagnosis
from weightgen.diagnostics.measure import Measure, Measurement, Probe
from weightgen.diagnostics.probing import described, settle, synthetic
from weightgen.errors import InputError, UsageError, did_you_mean, printable
from weightgen.models.architecture import Architecture
from weightgen.preparation import data_directory, environment, versions
from weightgen.recipe import DiagnoseRecipe, TrainRecipe
from weightgen.recipe.probing import ProbeRecipe
from weightgen.starts import Start, architecture_of, parse_start, parse_starts
from weightgen.tasks import make_task

CONTINUOUS = {"classify": "images", "translate": "before"}
"""Task -> the entry of its batches that enters the model as it is; text enters as embedded tokens."""
Prober = Callable[[torch.nn.Module], tuple[Probe, str]]
"""Makes the probe of a model, and says in words what its batch is."""


def diagnose(recipe: DiagnoseRecipe, progress: Update | None = None) -> Diagnosis:
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
    torch.set_num_threads(recipe.threads or os.cpu_count() or 1)  # sums over other numbers of parts round differently
    prober, data = prober_of(recipe, architecture, starts), ""
    before = settle(prober(_model(others[0], architecture, recipe.seed))[0]) if others else None
    made: list[Diagnosed] = []
    for start in starts:
        probe, data = prober(_model(start, architecture, recipe.seed))
        settle(probe)
        found: dict[str, Measurement | str] = {}
        for name in measures:
            if progress is not None:
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


def prober_of(recipe: ProbeRecipe, architecture: Architecture, starts: list[Start]) -> Prober:
    """Return what makes the probe of a model of this architecture, on the same batch each time.

    On training items of the recipe's data, or else on random inputs. `starts` may bring a tokenizer. Raises as the
    task does that reads the data.
    """
    if recipe.data is None and architecture.library == "weightgen":
        raise UsageError(
            f"a {architecture.name} makes images of images, and random ones show no change to learn.\n"
            "Add --task translate --data concept:'sepia tone', or a folder of pairs of photos"
        )
    if recipe.data is None:

        def drawn(model: torch.nn.Module) -> tuple[Probe, str]:
            probe = synthetic(architecture, model, recipe.items, recipe.length, recipe.image_size, recipe.seed)
            return probe, described(probe)

        return drawn
    training = TrainRecipe(
        task=recipe.task or _task_of(architecture),
        data=recipe.data,
        model=recipe.model,
        image_size=recipe.image_size,
        length=recipe.length,
        augment="none",
    )
    task = make_task(training, architecture, data_directory(training, *starts))
    items = range(min(recipe.items, task.sizes["train"]))
    batch = task.batch("train", items)
    words = f"{len(items)} training items of {recipe.data} ({task.name})"

    def given(model: torch.nn.Module) -> tuple[Probe, str]:
        task.check(model)
        return Probe(model.eval(), batch, task.forward, task.loss, CONTINUOUS.get(task.name), recipe.seed), words

    return given


def _task_of(architecture: Architecture) -> Literal["classify", "causal", "masked", "translate"]:
    if architecture.library == "weightgen":
        return "translate"
    if architecture.name.endswith("ForMaskedLM"):
        return "masked"
    return "causal" if architecture.name.endswith(("ForCausalLM", "LMHeadModel")) else "classify"
