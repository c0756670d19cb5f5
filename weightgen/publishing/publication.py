"""What every job publishes: files of a stage, with its recipe, plan, card and manifest, whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from weightgen.publishing.card import Card
from weightgen.publishing.checkpoint import check_target, publish
from weightgen.publishing.destination import refuse_overlap
from weightgen.publishing.versions import versions
from weightgen.recipe.base import Recipe


class Planned(Protocol):
    """A plan that was carried out."""

    @property
    def hash(self) -> str:
        """sha256 of what it says."""

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""


@dataclass
class Publication:
    """What is about to be published; a job writes its files to `path` and fills in the rest."""

    path: Path
    """The staging directory."""
    card: Card | str | None = None
    """What a stage says, or a whole card."""
    plan: Planned | None = None
    method: Mapping[str, Any] | None = None
    """How it was made, where a stage has several ways."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """What else the manifest says."""
    bytes: int = 0
    """Of all files but the manifest, once they are written."""


def check_out(out: Path, force: bool, made_from: Sequence[Path | None], data: Sequence[Path | None] = ()) -> None:
    """Raise UsageError where a job could not publish, or would replace what it works with: before it starts to work.

    `made_from`: checkpoints and the like that the job reads; `data`: files and folders that it learns from.
    """
    refuse_overlap(out, made_from, data)
    check_target(out.resolve(), force)


@contextmanager
def publication(
    out: Path,
    recipe: Recipe,
    library: str,
    beside: Sequence[str] = ("accelerate", "datasets"),
    *,
    force: bool = False,
    needed: int = 0,
) -> Iterator[Publication]:
    """Yield what becomes a published directory when the block ends without an exception.

    The recipe is written without where it was written to, which is no part of what was made. `library` and what is
    `beside` it are the packages whose versions are recorded. `force` and `needed`, and errors, are `publish`'s.
    """
    own = recipe.model_copy(update={"out": None})
    with publish(out, force, needed) as staged:
        made = Publication(staged.path)
        yield made
        staged.path.joinpath("recipe.yaml").write_text(own.to_yaml(), encoding="utf-8")
        found: dict[str, Any] = {"stage": recipe.stage}
        if made.method is not None:
            found["method"] = dict(made.method)
        found["recipe_hash"] = own.hash
        if made.plan is not None:
            text = json.dumps(made.plan.to_json(), indent=1) + "\n"
            staged.path.joinpath("plan.json").write_text(text, encoding="utf-8")
            found["plan_hash"] = made.plan.hash
        if made.card is not None:
            card = made.card if isinstance(made.card, str) else made.card.text(own, out.name)
            staged.path.joinpath("README.md").write_text(card, encoding="utf-8")
        staged.manifest.update(found, **made.fields, versions=versions(library, beside))
        made.bytes = sum(f.stat().st_size for f in staged.path.rglob("*") if f.is_file())
