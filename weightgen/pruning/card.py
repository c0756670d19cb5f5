"""The words of a sparse start's model card."""

from __future__ import annotations

from weightgen.errors import printable
from weightgen.models.architecture import Architecture
from weightgen.models.masks import FILE, Mask
from weightgen.publishing.card import Card
from weightgen.recipe.pruning import PruneRecipe
from weightgen.version import __version__


def pruned_card(recipe: PruneRecipe, target: Architecture, mask: Mask, dropped: list[int], name: str) -> Card:
    """Say what was pruned by what, how much stays, and where its mask is."""
    how = f"the scores in `{printable(recipe.scores)}`" if recipe.scores else f"`{recipe.score}`"
    total = sum(kept.numel() for kept in mask.kept.values())
    gone = f"\n- residual branches that were emptied: {', '.join(map(str, dropped))}" if dropped else ""
    frozen = f"\n- {len(mask.frozen)} tensors are to stay as they are" if mask.frozen else ""
    words = f"""A sparse start: `{printable(recipe.start)}` ({target.name}), pruned by weightgen {__version__} by {how}.
**{mask.count:,} of {total:,} weights stay ({mask.density:.2%})**; the others are zero.

- mask: `{FILE}`, booleans by the names of the weights. `weightgen train` and `weightgen compare` keep to it; in a loop
  of your own, multiply each gradient by its mask{gone}{frozen}"""
    tags = ("model-initialisation", "pruning")
    return Card(target.library, words, target.adapter.load_code(target, name), tags=tags)
