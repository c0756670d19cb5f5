"""The card of a weights dataset: what is in it, how to read it without weightgen, how to make it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from weightgen.console import python_word
from weightgen.diffusion.blocks import Layout
from weightgen.diffusion.concepts import SPLITS, Split
from weightgen.diffusion.weights_dataset import BLOCKS, MODELS
from weightgen.diffusion.weights_table import Network
from weightgen.errors import printable
from weightgen.publishing.card import again

MEANING: dict[Split, str] = {
    "train": "trained",
    "paraphrase": "a new wording of a trained concept",
    "strength": "a strength between trained ones",
    "composition": "a pair of trained operations that never met",
    "operation": "an operation that was never trained",
}


def weights_card(
    name: str,
    told: str,
    layout: Layout,
    networks: Sequence[Network],
    skipped: Sequence[str],
    licences: Mapping[str, str],
    recipe: str,
) -> str:
    """Return the card as Markdown with the hub's metadata block.

    `told`: a sentence on how the networks came about, whose values are not needed here. `skipped`: concepts without a
    network. `licences` of what they were made from, by name. `recipe`: YAML.
    """
    splits = "".join(_row(split, networks) for split in SPLITS)
    missing = "".join(f"- {printable(name)}\n" for name in skipped)
    missing = f"\nNot here, because their values were not finite:\n\n{missing}" if skipped else ""
    sources = "".join(f"- {source}: {printable(licence, 300)}\n" for source, licence in licences.items())
    return f"""---
license: other
tags:
- weightgen
- model-weights
configs:
- config_name: blocks
  default: true
  data_files: {BLOCKS}
- config_name: models
  data_files: {MODELS}
---

# {name}

The weights of {len(networks)} networks of {layout.parameters:,} parameters, each in {len(layout)} blocks of
{layout.size} values. {told}

| split | networks | what it is | PSNR |
|---|---:|---|---:|
{splits}{missing}
PSNR, where it was measured, is that of each network on its own concept, on crops of held-out photos.

## Read it without weightgen

```python
import datasets

blocks = datasets.load_dataset({python_word(name)}, "blocks", split="train").with_format("torch")
models = datasets.load_dataset({python_word(name)}, "models", split="train")
```

A row of `blocks` is one block of one network: `values`, of which the first `length` count. They begin at `offset` in
the layer's matrix, whose rows are an output channel's weights followed by its bias. No block crosses layers. A row of
`models` is one network: captions, clauses, quality, and hashes of its tensors, of the base and of the layout.
`base.safetensors` is where all networks began.

## Licences of what the networks were made from

{sources}
{again(recipe, name)}"""


def _row(split: Split, networks: Sequence[Network]) -> str:
    own = [n for n in networks if n.concept.split == split]
    scores = [n.quality["psnr"] for n in own if "psnr" in n.quality]
    mean = f"{sum(scores) / len(scores):.2f} dB" if scores else ""
    return f"| {split} | {len(own)} | {MEANING[split]} | {mean} |\n" if own else ""
