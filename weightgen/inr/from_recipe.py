"""What a metalearn recipe asks for: the kind of signal, the signals by splits, what is trained, and on which task."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from weightgen.errors import InputError, UsageError, printable
from weightgen.inr.config import field_config
from weightgen.inr.controls import redraw
from weightgen.inr.field import Field
from weightgen.inr.fitting import Adaptation
from weightgen.inr.learner import Gradient, Inner, MetaLearner
from weightgen.inr.learning import MetaTask, field_of
from weightgen.inr.signals import KINDS, make_kind
from weightgen.inr.signals.division import divided
from weightgen.inr.signals.files import splits
from weightgen.inr.signals.kind import Kind, Signal
from weightgen.inr.start import Start
from weightgen.inr.strainer import Strainer
from weightgen.recipe.fields import MetalearnRecipe
from weightgen.training.task import Split

INTERPOLATED = ("reptile-interpolation", "tinyreptile")
GRADIENTS: dict[str, Gradient] = {"maml": "maml", "fomaml": "fomaml"}
"""Algorithms whose outer gradient is one; the others, STRAINER apart, follow Reptile's displacement."""


def kind_of(recipe: MetalearnRecipe) -> Kind:
    """Return the kind of signal, with the conventions that the recipe or the data themselves say."""
    if not recipe.data:
        raise UsageError("learn from what? Name a folder of signals")
    folder = splits(recipe.data).get("train", recipe.data)
    return make_kind(recipe.kind, KINDS[recipe.kind].conventions(folder, recipe.signal_args))


def load_signals(recipe: MetalearnRecipe, kind: Kind) -> dict[Split, list[Signal]]:
    """Return the signals to learn from (`train`), to watch and choose by (`tune`, `validation`), and for the end.

    Folders named train and validation or test are taken as such; else a tenth is held out for the end.
    """
    order, test = divided(kind, recipe.data)
    tune = min(recipe.tune, max(1, len(order) // 5))
    if len(order) <= tune:
        raise InputError(
            f"{printable(recipe.data)}: expected at least 3 signals to learn from, found {len(order)} beside the "
            f"{len(test)} held out"
        )
    return {"train": order[tune:], "tune": order[:tune], "validation": order[:tune], "test": test}


def make_learner(
    recipe: MetalearnRecipe, kind: Kind, signals: Mapping[Split, list[Signal]]
) -> tuple[torch.nn.Module, MetaTask]:
    """Return the module that the loop trains, and the task that it trains on."""
    sizes = {"inputs": kind.inputs, "outputs": kind.outputs}
    suited = kind.suited.arguments if recipe.field is None else {}
    field = Field(field_config(recipe.field or "siren", {**sizes, **suited, **recipe.field_args}), recipe.seed)
    strainer = recipe.algorithm == "strainer"  # fits by Adam, which has rates of its own
    rate = recipe.inner_rate or (Adaptation().rate if strainer else kind.suited.rate)
    first = recipe.first_rate or (kind.suited.first_rate if recipe.inner_rate is None else None)
    if recipe.init != "own":
        redraw(recipe.init, field, kind, signals["train"], recipe.seed)
    steps, points, interpolate = recipe.inner_steps, recipe.points, recipe.algorithm in INTERPOLATED
    model: torch.nn.Module
    if strainer:
        model, steps = Strainer(field, kind, len(signals["train"]), recipe.inner_steps, rate), 0
    else:
        algorithm = GRADIENTS.get(recipe.algorithm, "reptile")
        learned = recipe.inner_rates == "learned" and algorithm != "reptile"
        inner = Inner(recipe.inner_steps, rate, learned, first)
        model = MetaLearner(field, kind, inner, algorithm, recipe.objective == "psnr")
    if recipe.algorithm == "tinyreptile":
        points = 1
    return model, MetaTask(kind, signals, steps, points, relative=recipe.relative, interpolate=interpolate)


def started(model: torch.nn.Module, kind: Kind) -> Start:
    """Return what a learner learned."""
    if isinstance(model, MetaLearner):
        return Start(model.field, kind, model.inner.steps, model.log_rates.detach().exp())
    return Start(field_of(model), kind)
