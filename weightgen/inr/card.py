"""The words of a learned start's model card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weightgen.console import shell_word
from weightgen.errors import printable
from weightgen.inr.fitting import Adaptation
from weightgen.inr.search import FEW, LONG, POINTS
from weightgen.inr.snippet import snippet
from weightgen.inr.start import Start
from weightgen.publishing.card import Card
from weightgen.recipe import MetalearnRecipe
from weightgen.version import __version__


def start_card(recipe: MetalearnRecipe, start: Start, evidence: Mapping[str, Any], name: str) -> Card:
    """Say what a start was learned from, how good it is, and how to fit; its loader needs torch and safetensors."""
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
    field = f"`{recipe.field or 'siren'}`, {parameters:,} parameters"
    words = f"""A starting point for coordinate networks ({field}), learned by weightgen
{__version__} with `{recipe.algorithm}` from {recipe.kind} signals: from here a new signal is fitted in a few steps.

- {evidence["metric"]} on {evidence["items"]:,} test signals after {recipe.inner_steps} steps:
  **{evidence["value"]:.2f}{unit}**
- coordinates, value ranges and recommended settings: `config.json`{origin}
{table}
## Fit a signal

`weightgen fit {shell_word(name)} SIGNAL --steps 2 --render out{start.kind.suffixes[0]}`"""
    tags = ("implicit-neural-representation", "meta-learning")
    return Card("weightgen", words, snippet(config, name), "Load it without weightgen", tags)


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
