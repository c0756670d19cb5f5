"""The words of a trained model's card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weightgen.errors import printable
from weightgen.models.architecture import Architecture
from weightgen.publishing.card import Card
from weightgen.recipe import TrainRecipe
from weightgen.version import __version__


def trained_card(recipe: TrainRecipe, target: Architecture, evidence: Mapping[str, Any], name: str) -> Card:
    """Say what was trained, on what, for how long, from where, and how good it is."""
    size = f"{target.parameters:,} parameters"
    words = f"""Trained by weightgen {__version__}: {target.name}, {size}, task `{recipe.task}` on
`{printable(recipe.data)}`, {recipe.steps:,} steps of {recipe.batch_size} items, from `{printable(recipe.start)}`.

- {evidence["metric"]} on {evidence["items"]:,} test items: **{evidence["value"]:.4f}**"""
    return Card(target.library, words, target.adapter.load_code(target, name), tags=())
