"""Tasks: what a model is trained for and judged by."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from weightgen.errors import UsageError, did_you_mean
from weightgen.models.architecture import Architecture
from weightgen.models.loading import load_model
from weightgen.models.names import resolve
from weightgen.models.source import open_source
from weightgen.recipe import TrainingRecipe
from weightgen.training.task import Task

Builder = Callable[[TrainingRecipe, Architecture, Path | None], Task]
"""From a recipe, the model's architecture, and the directory of its tokenizer or preprocessor, if any."""


def _classify(recipe: TrainingRecipe, architecture: Architecture, directory: Path | None) -> Task:
    from weightgen.models.pictures import input_size
    from weightgen.tasks.classify import Classify

    return Classify(recipe.data, *input_size(architecture, recipe.image_size), recipe.augment)


def _causal(recipe: TrainingRecipe, architecture: Architecture, directory: Path | None) -> Task:
    from weightgen.tasks.language import Causal

    return Causal(recipe.data, architecture, directory, recipe.length)


def _masked(recipe: TrainingRecipe, architecture: Architecture, directory: Path | None) -> Task:
    from weightgen.tasks.language import Masked

    return Masked(recipe.data, architecture, directory, recipe.length)


def _sentences(recipe: TrainingRecipe, architecture: Architecture, directory: Path | None) -> Task:
    from weightgen.tasks.sentences import Sentences

    if recipe.teacher is None:
        raise UsageError("sentences imitates a teacher: name its directory with --teacher")
    return Sentences(recipe.data, architecture, directory, recipe.teacher, recipe.length)


def _translate(recipe: TrainingRecipe, architecture: Architecture, directory: Path | None) -> Task:
    from weightgen.tasks.translate import SIZE, TranslateTask

    if recipe.teacher is not None:
        raise UsageError("translate learns from pairs of photos, and has no use for a teacher: leave --teacher out")
    return TranslateTask(recipe.data, recipe.image_size or SIZE)


TASKS: dict[str, Builder] = {
    "classify": _classify,
    "causal": _causal,
    "masked": _masked,
    "sentences": _sentences,
    "translate": _translate,
}


def make_task(recipe: TrainingRecipe, architecture: Architecture, directory: Path | None) -> Task:
    """Build a recipe's task for a model, with its teacher where one is named."""
    if recipe.task == "fit":
        raise UsageError("fields are not trained like models: use weightgen fit, or race starts with weightgen compare")
    if recipe.task not in TASKS:
        raise UsageError(f"unknown task '{recipe.task}'.{did_you_mean(recipe.task, list(TASKS))}")
    task = TASKS[recipe.task](recipe, architecture, directory)
    if recipe.teacher is None or recipe.task == "sentences":  # which cannot do without a teacher, and loads it itself
        return task
    from weightgen.tasks.distil import Distilled

    source = open_source(resolve(recipe.teacher), {})
    if recipe.task != "classify":
        from weightgen.tasks.tokens import refuse_other_tokens

        refuse_other_tokens(directory, source.directory)
    return Distilled(task, load_model(source), recipe.teacher_weight, recipe.temperature)
