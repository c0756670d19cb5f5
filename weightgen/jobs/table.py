"""The table of jobs: what weightgen can do, read by the command line, `weightgen run` and the Python API alike.

A further job is its recipe, its function, and one entry here. Recipes and functions are imported when they are used.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weightgen.console import SILENT, Reporter
from weightgen.errors import UsageError, did_you_mean, printable

if TYPE_CHECKING:
    from weightgen.jobs.made import Made
    from weightgen.recipe.base import Recipe

START, FIELDS, PROVE, REST = "Make a start", "Fit fields", "Prove it", "The rest"
"""What people do: commands are grouped by it."""


@dataclass(frozen=True)
class Job:
    """One thing that weightgen does; its name is that of its command, and its recipe's stage."""

    recipe: str
    """Class of `weightgen.recipe`, as module:class."""
    function: str
    """Function of `weightgen.jobs`, as module:function."""
    group: str
    help: str
    """First what it does, in a line; more in further paragraphs."""
    catalogue: str = ""
    """module:function that returns what --list shows, as data and as text."""
    listed: str = ""
    """What --list does, in words."""
    plans: bool = False
    """Whether the function's module has a `plan`, which --dry-run shows."""
    forces: bool = True
    """Whether --force replaces what an earlier call made; where it does not, the same call goes on."""

    @property
    def recipe_class(self) -> type[Recipe]:
        """The class of its recipes."""
        found: type[Recipe] = _found(f"weightgen.recipe.{self.recipe}")
        return found

    def carry_out(self, recipe: Recipe, out: Path | None, *, force: bool, reporter: Reporter) -> Made[Any]:
        """Carry out a recipe; raises WeightgenError for everything a caller can mend."""
        options: dict[str, Any] = {"force": force} if self.forces else {}
        made: Made[Any] = _found(f"weightgen.jobs.{self.function}")(recipe, out, reporter=reporter, **options)
        return made

    def plan(self, recipe: Recipe, *, reporter: Reporter = SILENT) -> Made[Any]:
        """Plan a recipe, and do nothing; raises UsageError for a job without plans."""
        if not self.plans:
            raise UsageError(f"--dry-run shows the plan of a subclone or init recipe; this is a {recipe.stage} recipe")
        made: Made[Any] = _found(f"weightgen.jobs.{self.function.partition(':')[0]}:plan")(recipe, reporter=reporter)
        return made

    def show_list(self) -> tuple[dict[str, Any], str]:
        """Return what --list shows."""
        found: tuple[dict[str, Any], str] = _found(f"weightgen.{self.catalogue}")()
        return found


JOBS: dict[str, Job] = {
    "subclone": Job(
        "subcloning:SubcloneRecipe",
        "subclone:subclone",
        START,
        "Cut a small model's starting weights out of a larger pretrained one.",
        plans=True,
    ),
    "init": Job(
        "inits:InitRecipe",
        "init:init",
        START,
        "Write a model's starting weights down in closed form, by a method of the literature.",
        catalogue="inits.text:catalogue",
        listed="List the methods and stop.",
        plans=True,
    ),
    "average": Job(
        "averaging:AverageRecipe",
        "average:average",
        START,
        "Average checkpoints of one architecture, keeping the variance that the weights of each had.",
    ),
    "prune": Job(
        "pruning:PruneRecipe",
        "prune:prune",
        START,
        "Make a start sparse before any training, and publish it with its mask, which training keeps to.",
    ),
    "train": Job(
        "training:TrainRecipe",
        "train:train",
        REST,
        "Train one model from one start; the same command goes on where it was stopped.",
    ),
    "generate": Job(
        "generating:GenerateRecipe",
        "generate:generate",
        START,
        "Generate a network's starting weights from a prompt.",
    ),
    "collect": Job(
        "collecting:CollectRecipe",
        "collect:collect",
        REST,
        "Train a small network for each of many concepts, and collect their weights in a dataset.\n\n"
        "The same command goes on where it was stopped.",
    ),
    "train-generator": Job(
        "generator:TrainGeneratorRecipe",
        "train_generator:train_generator",
        REST,
        "Train a diffusion model that denoises networks' weights from prompts.\n\n"
        "The same command goes on where it was stopped.",
    ),
    "metalearn": Job(
        "fields:MetalearnRecipe",
        "metalearn:metalearn",
        FIELDS,
        "Learn, from a set of signals, the weights from which a new one is fitted in a few steps.\n\n"
        "The same command goes on where it was stopped.",
    ),
    "fit": Job(
        "fields:FitRecipe",
        "fit:fit",
        FIELDS,
        "Fit signals in a few steps from a learned start.",
    ),
    "compare": Job(
        "training:CompareRecipe",
        "compare:compare",
        PROVE,
        "Race starts against each other: same data order, a learning-rate search for each, several seeds, one report."
        "\n\nThe same command goes on where it was stopped; finished runs are never repeated.",
        forces=False,
    ),
    "diagnose": Job(
        "diagnosis:DiagnoseRecipe",
        "diagnose:diagnose",
        PROVE,
        "Measure starts before any training: variance, Jacobian, kernel, scores of weights, sharpness, ...",
        catalogue="diagnostics.text:catalogue",
        listed="Show the measures and stop.",
    ),
}


def load_recipe(path: Path) -> Recipe:
    """Read a recipe; raises InputError where it cannot be read, UsageError where it says something unknown."""
    from weightgen.recipe.reading import make_recipe, read_yaml

    path = Path(path)
    data, shown = read_yaml(path), printable(str(path))
    stage = data.get("stage", "subclone")
    if not isinstance(stage, str) or stage not in JOBS:
        raise UsageError(f"{shown}: unknown stage '{printable(str(stage))}'.{did_you_mean(str(stage), [*JOBS])}")
    return make_recipe(JOBS[stage].recipe_class, data, shown)


def _found(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)
