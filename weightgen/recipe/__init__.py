"""Recipes: one YAML file is one reproducible run. The command line's options are the fields of these models."""

from __future__ import annotations

from weightgen.recipe.base import Flag, Recipe
from weightgen.recipe.fields import FitRecipe, MetalearnRecipe
from weightgen.recipe.reading import MAX_BYTES, load_recipe, make_recipe
from weightgen.recipe.subcloning import SubcloneRecipe
from weightgen.recipe.training import CompareRecipe, TrainingRecipe, TrainRecipe

__all__ = [
    "MAX_BYTES",
    "CompareRecipe",
    "FitRecipe",
    "Flag",
    "MetalearnRecipe",
    "Recipe",
    "SubcloneRecipe",
    "TrainRecipe",
    "TrainingRecipe",
    "load_recipe",
    "make_recipe",
]
