"""What a race's directory and its starts' directories say of themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from weightgen.errors import UsageError, printable
from weightgen.publishing.manifest import NAME, read_manifest
from weightgen.reading.files import read_small
from weightgen.recipe import MAX_BYTES, CompareRecipe, read_recipe
from weightgen.training.settings import differences

SAVED = "recipe.yaml"


def refuse_other_race(recipe: CompareRecipe, out: Path) -> None:
    """Refuse to go on with a race that was another one."""
    if not (out / SAVED).is_file():
        strangers = [p.name for p in out.iterdir()] if out.exists() else []
        if strangers:
            raise UsageError(
                f"{printable(str(out))}: holds no race ('{printable(strangers[0])}' is there). "
                "Choose another --out, or an empty directory."
            )
        return
    saved = read_recipe(out / SAVED, CompareRecipe)
    if saved.hash != recipe.hash:
        changed = differences(saved.model_dump(mode="json"), recipe.model_dump(mode="json"))
        raise UsageError(
            f"{printable(str(out))}: holds another race: {printable('; '.join(changed), 200)}.\n"
            "Repeat its command line to go on with it, or choose another --out."
        )


def manifest_of(directory: Path | None) -> dict[str, Any]:
    """Return a checkpoint's manifest; empty where it has none."""
    return read_manifest(directory) if directory is not None and (directory / NAME).is_file() else {}


def cost_of(directory: Path | None) -> float:
    """Return the floating point operations that making a start took, as its manifest says."""
    return float(sum(manifest_of(directory).get("cost", {}).values()))


def lineage(directory: Path | None) -> dict[str, Any]:
    """Return where a start comes from: its manifest, without the list of files, and its recipe."""
    told = {k: v for k, v in manifest_of(directory).items() if k not in ("schema", "files")}
    if directory is not None and (directory / SAVED).is_file():
        # As text: it may be another version's, or another tool's.
        told["recipe"] = read_small(directory / SAVED, MAX_BYTES).decode(errors="replace")
    return told
