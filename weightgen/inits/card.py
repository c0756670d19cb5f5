"""The words of a model card for a start in closed form."""

from __future__ import annotations

from weightgen.inits.plan import InitPlan
from weightgen.inits.registry import initialiser_of
from weightgen.models.architecture import Architecture
from weightgen.publishing.card import Card
from weightgen.version import __version__


def init_card(target: Architecture, plan: InitPlan, density: float | None, name: str) -> Card:
    """Say by which method a model was initialised.

    `density` is the share of the weights that its mask keeps, None where it has no mask.
    """
    initialiser = initialiser_of(plan.method)
    options = "".join(f", {k}={v}" for k, v in plan.options.items())
    sparse = ""
    if density is not None:
        kept = f"`mask.safetensors` keeps {density:.2%} of the weights that it covers"
        sparse = f"\n- mask: {kept}, and `weightgen train` keeps to it"
    size = f"{plan.parameters:,} parameters"
    words = f"""Starting weights for training, **not a trained model**: {target.name}, {size}, initialised by
weightgen {__version__} with `{plan.method}`{options} ({initialiser.paper}).

- {len(plan.written)} of {len(plan.assignments)} tensors are set, the others as {target.library} draws them
- plan: `plan.json`, hash `{plan.hash[:16]}`{sparse}"""
    return Card(target.library, words, target.adapter.load_code(target, name))
