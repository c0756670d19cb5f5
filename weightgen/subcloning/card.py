"""The words of a cut start's model card."""

from __future__ import annotations

from weightgen.errors import printable
from weightgen.models.architecture import Architecture
from weightgen.models.source import Source
from weightgen.publishing.card import Card
from weightgen.recipe import SubcloneRecipe
from weightgen.subcloning.plan import ACTIONS, Plan
from weightgen.version import __version__


def subcloned_card(recipe: SubcloneRecipe, source: Source, target: Architecture, plan: Plan, name: str) -> Card:
    """Say what a start was cut out of, which blocks were kept, what is new, and what to look at."""
    base = printable(source.reference.name or source.reference.text) if source.reference else "a module in memory"
    if source.reference is not None and source.reference.directory is not None:
        named = source.reference.text.startswith("package:")
        base = printable(source.reference.text if named else source.reference.directory.resolve().name)
    kept = "".join(f"\n- source blocks kept ({axis}): {', '.join(map(str, b))}" for axis, b in plan.kept.items())
    counts = ", ".join(f"{plan.count(a)} {a}" for a in ACTIONS if plan.count(a))
    left = [t for t in plan.tensors if t.action == "initialised"]
    new = "".join(f"\n- `{printable(t.name)}` is new: {t.note}" for t in left[:20])
    warnings = "".join(f"\n- {w}" for w in plan.warnings)
    hub = source.reference is not None and "/" in source.reference.name
    words = f"""Starting weights for training, **not a trained model**: cut out of `{base}` by weightgen {__version__}
(method `{recipe.method}`, axis table `{plan.family}`). Its outputs are not useful before training.

- architecture: {target.name}, {plan.parameters:,} parameters in {len(plan.tensors)} tensors ({counts}){kept}
- axes: {plan.truth.text()}
- plan: `plan.json`, hash `{plan.hash[:16]}`{new}{warnings}"""
    return Card(target.library, words, target.adapter.load_code(target, name), base=base if hub else "")
