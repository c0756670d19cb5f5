"""The model card of a start in closed form."""

from __future__ import annotations

from weightgen import __version__
from weightgen.card import use
from weightgen.inits.plan import InitPlan
from weightgen.inits.registry import initialiser_of
from weightgen.models.architecture import Architecture
from weightgen.recipe import InitRecipe


def init_card(recipe: InitRecipe, target: Architecture, plan: InitPlan, density: float | None, name: str) -> str:
    """Return the card of an initialised model as Markdown with the hub's metadata block.

    `density` is the share of the weights that its mask keeps, None where it has no mask.
    """
    initialiser = initialiser_of(plan.method)
    options = "".join(f", {k}={v}" for k, v in plan.options.items())
    sparse = ""
    if density is not None:
        kept = f"`mask.safetensors` keeps {density:.2%} of the weights that it covers"
        sparse = f"\n- mask: {kept}, and `weightgen train` keeps to it"
    return f"""---
library_name: {target.library}
tags:
- weightgen
- model-initialisation
---

# {name}

Starting weights for training, **not a trained model**: {target.name}, {plan.parameters:,} parameters, initialised by
weightgen {__version__} with `{plan.method}`{options} ({initialiser.paper}).

- {len(plan.written)} of {len(plan.assignments)} tensors are set, the others as {target.library} draws them
- plan: `plan.json`, hash `{plan.hash[:16]}`{sparse}

{use(recipe, target, name)}"""
