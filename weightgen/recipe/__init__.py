"""Recipes: one YAML file is one reproducible run. The command line's options are the fields of these models."""

from __future__ import annotations

from weightgen.recipe.averaging import AverageRecipe
from weightgen.recipe.base import Flag, Recipe
from weightgen.recipe.collecting import CollectRecipe
from weightgen.recipe.diagnosis import DiagnoseRecipe
from weightgen.recipe.fields import FitRecipe, MetalearnRecipe
from weightgen.recipe.generating import GenerateRecipe
from weightgen.recipe.generator import TrainGeneratorRecipe
from weightgen.recipe.inits import InitRecipe
from weightgen.recipe.pruning import PruneRecipe
from weightgen.recipe.reading import MAX_BYTES, make_recipe, read_recipe
from weightgen.recipe.subcloning import SubcloneRecipe
from weightgen.recipe.training import CompareRecipe, TrainingRecipe, TrainRecipe

__all__ = [
    "MAX_BYTES",
    "AverageRecipe",
    "CollectRecipe",
    "CompareRecipe",
    "DiagnoseRecipe",
    "FitRecipe",
    "Flag",
    "GenerateRecipe",
    "InitRecipe",
    "MetalearnRecipe",
    "PruneRecipe",
    "Recipe",
    "SubcloneRecipe",
    "TrainGeneratorRecipe",
    "TrainRecipe",
    "TrainingRecipe",
    "make_recipe",
    "read_recipe",
]
