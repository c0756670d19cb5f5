"""The probe that diagnosing and pruning look through: a model on training items of its data, or on random ones."""

from __future__ import annotations

import torch

from weightgen.diagnostics.measure import Probe
from weightgen.diagnostics.probing import Prober, described, synthetic
from weightgen.models.architecture import Architecture
from weightgen.recipe.probing import ProbeRecipe
from weightgen.recipe.training import TrainRecipe
from weightgen.starts.start import Start
from weightgen.starts.tokenizer import data_directory
from weightgen.tasks import make_task

CONTINUOUS = {"classify": "images", "translate": "before"}
"""Task -> the entry of its batches that enters the model as it is; text enters as embedded tokens."""


def prober_of(recipe: ProbeRecipe, architecture: Architecture, starts: list[Start]) -> Prober:
    """Return what makes the probe of a model of this architecture, on the same batch each time.

    On training items of the recipe's data, or else on random inputs. `starts` may bring a tokenizer. Raises as the
    task does that reads the data.
    """
    if recipe.data is None:
        architecture.adapter.check_random_inputs(architecture)

        def drawn(model: torch.nn.Module) -> tuple[Probe, str]:
            probe = synthetic(architecture, model, recipe.items, recipe.length, recipe.image_size, recipe.seed)
            return probe, described(probe)

        return drawn
    training = TrainRecipe(
        task=recipe.task or architecture.adapter.task(architecture),
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
