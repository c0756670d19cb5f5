"""The frame of a model card: what every card has around the words of the stage that it speaks of."""

from __future__ import annotations

from dataclasses import dataclass

from weightgen.console import shell_word
from weightgen.recipe.base import Recipe


@dataclass(frozen=True)
class Card:
    """What a stage says of what it made."""

    library: str
    """Whose layout the files have, for the hub."""
    words: str
    """Markdown, under the title."""
    code: str = ""
    """Python that loads it."""
    heading: str = "Load it"
    """Above that; empty where the words lead to it."""
    tags: tuple[str, ...] = ("model-initialisation",)
    base: str = ""
    """Name of the model that it was made from, where the hub has it."""

    def text(self, recipe: Recipe, name: str) -> str:
        """Return the card as Markdown with the hub's metadata block; `name`: of its directory."""
        tags = "".join(f"- {tag}\n" for tag in ("weightgen", *self.tags))
        base = f"base_model: {self.base}\n" if self.base else ""
        heading = f"## {self.heading}\n\n" if self.heading else ""
        return f"""---
library_name: {self.library}
tags:
{tags}{base}---

# {name}

{self.words}

{heading}```python
{self.code}
```

{again(recipe.to_yaml(), name)}"""


def again(recipe: str, name: str) -> str:
    """Return the end of every card: the recipe as YAML, and how to check the files."""
    return f"""## Make it again

`weightgen run recipe.yaml`, with the recipe beside this file:

```yaml
{recipe.strip()}
```

`weightgen verify {shell_word(name)}` checks every file against `manifest.json`.
"""
