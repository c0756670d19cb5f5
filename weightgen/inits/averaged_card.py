"""The words of an average's model card."""

from __future__ import annotations

from weightgen.errors import printable
from weightgen.models.architecture import Architecture
from weightgen.publishing.card import Card
from weightgen.recipe import AverageRecipe
from weightgen.version import __version__


def averaged_card(recipe: AverageRecipe, target: Architecture, name: str) -> Card:
    """Say what was averaged, and how."""
    parents = "".join(f"\n- `{printable(text)}`" for text in recipe.checkpoints)
    how = (
        "They are plain means, which have less variance than the weights of each."
        if recipe.plain
        else "Each tensor has the mean of theirs, and the mean of their variances (arXiv 2404.04616)."
    )
    count = len(recipe.checkpoints)
    words = f"""Starting weights for training: the average of {count} checkpoints, made by weightgen {__version__}
({target.name}, {target.parameters:,} parameters). {how}
Counters are the first checkpoint's; running statistics of batch normalisation are plain means: estimate them anew.
{parents}"""
    return Card(target.library, words, target.adapter.load_code(target, name))
