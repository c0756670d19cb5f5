"""The words of a generator's model card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weightgen.console import python_word, shell_word
from weightgen.diffusion.weights_dataset import WeightsDataset
from weightgen.errors import printable
from weightgen.publishing.card import Card
from weightgen.recipe import TrainGeneratorRecipe
from weightgen.version import __version__


def generator_card(
    recipe: TrainGeneratorRecipe, data: WeightsDataset, concepts: int, evidence: Mapping[str, Any], name: str
) -> Card:
    """Say what was learned from what, how good it is, and how to ask; `concepts`: how many were learned from."""
    unit = " dB" if evidence["metric"] == "PSNR" else ""
    how = {
        "subspace": f"amounts of {recipe.components} components of networks, and at how filters are scaled",
        "joint": "all blocks of a network at once",
        "per-block": "each block by itself",
        "film": "no noise at all",
    }
    operations = sorted({clause.operation for c in data.concepts if c.split == "train" for clause in c.clauses})
    covered = f"\n- operations: {', '.join(operations)}" if operations else ""
    new = sorted({c.operation for d in data.concepts if d.split == "operation" for c in d.clauses})
    unknown = f"\n- operations that it has never seen, and fails on: {', '.join(new)}" if new else ""
    origin = f"\n- learned from: {printable(recipe.origin, 400)}" if recipe.origin else ""
    layout = data.layout
    numbers = f"{layout.parameters:,} numbers in {len(layout)} blocks of {layout.size}"
    words = f"""Denoises the weights of a small network ({numbers}) from a prompt. \
Trained by weightgen {__version__} on {concepts} collected networks; the denoiser \
(`{recipe.denoiser}`) looks at {how[recipe.denoiser]}.

- {evidence["metric"]} in one step, before any fine-tuning, over {evidence["items"]} concepts not learned from:
  **{evidence["value"]:.2f}{unit}**{covered}{unknown}{origin}
- base `{data.base_sha256[:16]}`, layout `{layout.sha256[:16]}`: weights for others are refused

Generated weights are a place to start training from. They are for the one architecture and the operations above;
a prompt that is unlike all of them is warned about, and what comes of it is not to be trusted.

## Use it

```sh
weightgen generate "sepia tone, strength 0.7" --generator {shell_word(name)} --out start
weightgen apply start photo.png --out edited.png
```"""
    code = f"""from weightgen.diffusion.pipeline import WeightGenerationPipeline

pipeline = WeightGenerationPipeline.from_pretrained({python_word(name)})
weights = pipeline("sepia tone, strength 0.7").state_dicts[0]"""
    return Card("diffusers", words, code, "", ("weight-generation", "diffusion"))
