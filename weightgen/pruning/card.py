"""The model card of a sparse start."""

from __future__ import annotations

from weightgen import __version__
from weightgen.card import use
from weightgen.errors import printable
from weightgen.models.architecture import Architecture
from weightgen.pruning.masks import FILE, Mask
from weightgen.recipe.pruning import PruneRecipe


def pruned_card(recipe: PruneRecipe, target: Architecture, mask: Mask, dropped: list[int], name: str) -> str:
    """Return the card of a sparse start as Markdown with the hub's metadata block."""
    how = f"the scores in `{printable(recipe.scores)}`" if recipe.scores else f"`{recipe.score}`"
    total = sum(kept.numel() for kept in mask.kept.values())
    gone = f"\n- residual branches that were emptied: {', '.join(map(str, dropped))}" if dropped else ""
    frozen = f"\n- {len(mask.frozen)} tensors are to stay as they are" if mask.frozen else ""
    return f"""---
library_name: {target.library}
tags:
- weightgen
- model-initialisation
- pruning
---

# {name}

A sparse start: `{printable(recipe.start)}` ({target.name}), pruned by weightgen {__version__} by {how}.
**{mask.count:,} of {total:,} weights stay ({mask.density:.2%})**; the others are zero.

- mask: `{FILE}`, booleans by the names of the weights. `weightgen train` and `weightgen compare` keep to it; in a loop
  of your own, multiply each gradient by its mask{gone}{frozen}

{use(recipe, target, name)}"""
