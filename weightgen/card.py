"""The model card of a start: what it is, where it comes from, how to load and repeat it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weightgen import __version__
from weightgen.errors import printable
from weightgen.inr.search import FEW, LONG, POINTS
from weightgen.inr.snippet import snippet
from weightgen.models.architecture import Architecture
from weightgen.models.source import Source
from weightgen.recipe import AverageRecipe, MetalearnRecipe, Recipe, SubcloneRecipe, TrainRecipe
from weightgen.subcloning.plan import ACTIONS, Plan

if TYPE_CHECKING:
    from weightgen.inr.fitting import Adaptation
    from weightgen.inr.start import Start


def model_card(recipe: SubcloneRecipe, source: Source, target: Architecture, plan: Plan, directory: Path) -> str:
    """Return the card as Markdown with the hub's metadata block."""
    library = target.library
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
    return f"""---
library_name: {library}
tags:
- weightgen
- model-initialisation
{"base_model: " + base if hub else ""}
---

# {directory.name}

Starting weights for training, **not a trained model**: cut out of `{base}` by weightgen {__version__}
(method `{recipe.method}`, axis table `{plan.family}`). Its outputs are not useful before training.

- architecture: {target.name}, {plan.parameters:,} parameters in {len(plan.tensors)} tensors ({counts}){kept}
- plan: `plan.json`, hash `{plan.hash[:16]}`{new}{warnings}

{use(recipe, target, directory.name)}""".replace("- model-initialisation\n\n---", "- model-initialisation\n---")


def trained_card(recipe: TrainRecipe, target: Architecture, evidence: Mapping[str, Any], name: str) -> str:
    """Return the card of a model that weightgen trained."""
    library = target.library
    parameters = sum(math.prod(s) for s in target.shapes.values())
    return f"""---
library_name: {library}
tags:
- weightgen
---

# {name}

Trained by weightgen {__version__}: {target.name}, {parameters:,} parameters, task `{recipe.task}` on
`{printable(recipe.data)}`, {recipe.steps:,} steps of {recipe.batch_size} items, from `{printable(recipe.start)}`.

- {evidence["metric"]} on {evidence["items"]:,} test items: **{evidence["value"]:.4f}**

{use(recipe, target, name)}"""


def average_card(recipe: AverageRecipe, target: Architecture, name: str) -> str:
    """Return the card of an average of checkpoints."""
    parameters = sum(math.prod(s) for s in target.shapes.values())
    parents = "".join(f"\n- `{printable(text)}`" for text in recipe.checkpoints)
    how = (
        "They are plain means, which have less variance than the weights of each."
        if recipe.plain
        else "Each tensor has the mean of theirs, and the mean of their variances (arXiv 2404.04616)."
    )
    return f"""---
library_name: {target.library}
tags:
- weightgen
- model-initialisation
---

# {name}

Starting weights for training: the average of {len(recipe.checkpoints)} checkpoints, made by weightgen {__version__}
({target.name}, {parameters:,} parameters). {how}
Counters are the first checkpoint's; running statistics of batch normalisation are plain means: estimate them anew.
{parents}

{use(recipe, target, name)}"""


def start_card(recipe: MetalearnRecipe, start: Start, evidence: Mapping[str, Any], name: str) -> str:
    """Return the card of a learned start for fields, with a loader that needs torch and safetensors only."""
    config = start.field.config
    parameters = sum(p.numel() for p in start.field.parameters())
    unit = " dB" if evidence["metric"] in ("PSNR", "SNR") else ""
    origin = f"\n- learned from: {printable(recipe.origin, 1000)}" if recipe.origin else ""
    rows = "".join(
        f"| {budget} | {r.steps} | {r.score:.2f}{unit} | {_advice(r.adaptation, r.steps)} |\n"
        for budget, r in start.recommended.items()
    )
    searched = f"\nFrom {LONG} steps on: on {FEW} of them, {POINTS:,} random points a step."
    long = searched if max(start.recommended, default=0) >= LONG else ""
    table = (
        f"""
| budget | steps | {evidence["metric"]} | how |
|---:|---:|---:|---|
{rows}
Settings and numbers of this table were chosen on signals held out of the training data.{long}
"""
        if rows
        else ""
    )
    return f"""---
library_name: weightgen
tags:
- weightgen
- implicit-neural-representation
- meta-learning
---

# {name}

A starting point for coordinate networks (`{recipe.field or "siren"}`, {parameters:,} parameters), learned by weightgen
{__version__} with `{recipe.algorithm}` from {recipe.kind} signals: from here a new signal is fitted in a few steps.

- {evidence["metric"]} on {evidence["items"]:,} test signals after {recipe.inner_steps} steps:
  **{evidence["value"]:.2f}{unit}**
- coordinates, value ranges and recommended settings: `config.json`{origin}
{table}
## Fit a signal

`weightgen fit {name} SIGNAL --steps 2 --render out{start.kind.suffixes[0]}`

## Load it without weightgen

```python
{snippet(config, name)}
```

{again(recipe, name)}"""


def _advice(adaptation: Adaptation, steps: int) -> str:
    after = f"{adaptation.optimizer} at {adaptation.rate:.3g}"
    if not adaptation.learned_steps:
        return after
    learned = f"learned rates x {adaptation.scale:.2g}"
    if adaptation.momentum >= 0.01 and steps > 1:
        learned += f", momentum {adaptation.momentum:.2g}"
    if steps <= adaptation.learned_steps:
        return learned
    return f"{learned} for {adaptation.learned_steps} steps, then {after}"


def load_text(target: Architecture, name: str) -> str:
    """Return the Python expression that loads a checkpoint in its own library."""
    if target.norm_free:
        return f'weightgen.inits.fixup.load("{name}")'
    if target.library == "timm":
        return f'timm.create_model("local-dir:{name}", pretrained=True)'
    if target.library == "weightgen":
        return f'weightgen.diffusion.translator.load_translator(Path("{name}"))'
    return f'transformers.{target.name}.from_pretrained("{name}")'


def use(recipe: Recipe, target: Architecture, name: str) -> str:
    """Return the part of a card that says how to load a model and how to make it again."""
    module = "weightgen.inits.fixup" if target.norm_free else target.library
    code = f"import {module}\n\nmodel = {load_text(target, name)}"
    if target.library == "weightgen":  # whose models need it as little as others do
        from weightgen.diffusion.snippet import snippet as lines

        code = lines(target.config, name)
    return f"""## Load it

```python
{code}
```

{again(recipe, name)}"""


def again(recipe: Recipe, name: str) -> str:
    """Return the end of every card: the recipe, and how to check the files."""
    return f"""## Make it again

`weightgen run recipe.yaml`, with the recipe beside this file:

```yaml
{recipe.to_yaml().strip()}
```

`weightgen verify {name}` checks every file against `manifest.json`.
"""
