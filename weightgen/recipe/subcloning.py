"""The recipe of `weightgen subclone`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from cyclopts import Parameter
from pydantic import BeforeValidator, Field

from weightgen.recipe.base import Arguments, Flag, Recipe, Seed, short_name


def _blocks(value: Any) -> Any:
    listed = isinstance(value, str) and re.fullmatch(r"\d+(,\d+)*", value)
    return [int(b) for b in value.split(",")] if listed else value


class SubcloneRecipe(Recipe):
    """Cut a small model's weights out of a larger one."""

    without_effect: ClassVar[frozenset[str]] = frozenset({"out", "allow_missing", "allow_shape", "require"})

    stage: Annotated[Literal["subclone"], Parameter(parse=False)] = "subclone"
    src: str = Field(
        description="Source: a preset (see: weightgen models), timm:NAME[.tag], hf:ORG/NAME[@revision], "
        "hf-hub:ORG/NAME, a directory, or package:NAME/path (a directory inside an installed Python package)."
    )
    dst: str = Field(
        description="Target: the same kinds of name, or 'same' for the source's own configuration with --dst-args.",
    )
    src_args: Arguments = Field({}, description="Overrides of the source's configuration: key=value,...")
    dst_args: Arguments = Field({}, description="Overrides of the target's configuration: key=value,...")
    src_weights: str | None = Field(
        None, description="The source's weights: a file or directory, where --src only names the architecture."
    )
    dst_tokenizer: str | None = Field(
        None, description="Directory with the target's tokenizer, to match vocabularies that differ."
    )
    method: str | None = Field(
        None,
        description="subcloning (default for timm models), selection (for transformers models) or minitron: a bundle "
        "of the four choices below.",
    )
    choose: str | None = Field(None, description="Which indices: uniform, consecutive, random or importance.")
    heads: str | None = Field(
        None, description="whole: keep whole attention heads; flat: cut every axis as a plain one, as published."
    )
    depth: Annotated[str | list[int] | None, BeforeValidator(_blocks), Parameter(n_tokens=1, negative=())] = Field(
        None, description="Which blocks: first, spread, ends, influence, or a list such as 0,2,5."
    )
    scale: str | None = Field(None, description="none, or fan-in: multiply by sqrt(source fan-in / target fan-in).")
    importance: str | None = Field(
        None, description="What importance is: magnitude (no data), activation or minitron (with --calibrate)."
    )
    fill: str | None = Field(
        None,
        description="Initialiser of what the source lacks, instead of the library's; see weightgen init --list.",
    )
    calibrate: str | None = Field(None, description="Folder of images or text file to measure activations on.")
    calibrate_samples: int = Field(64, ge=1, description="How many images or text pieces to use.")
    scores: str | None = Field(None, description="Use scores saved before instead of measuring.")
    save_scores: str | None = Field(None, description="Save the scores to a file, for other target sizes.")
    dtype: Literal["keep", "float32", "bfloat16", "float16"] = Field(
        "keep", description="Type of the weights written; the source's own by default."
    )
    seed: Seed = Field(0, description="Seed of random choices and of what is initialised anew.")
    allow_missing: Flag = Field(
        False, description="Go on where the source lacks tensors that its architecture has: they are drawn anew."
    )
    allow_shape: Flag = Field(
        False, description="Cut by sizes alone where no axes are known: heads and packed parts may be misaligned."
    )
    require: Literal["proven"] | None = Field(
        None, description="Exit with 1 unless everything that is cut is cut along proven axes."
    )
    allow_pickle: Flag = Field(False, description="Read a pickled weights file (tensors only).")

    def place(self) -> Path:
        """Return `out`, or a name of source and target in the current directory."""
        made = short_name(self.dst) if self.dst != "same" else "small"
        return Path(self.out or f"{made}-from-{short_name(self.src)}")

    def with_method(self, usual: str) -> SubcloneRecipe:
        """Return a recipe that names its method: the usual one where it names none."""
        return self if self.method else self.model_copy(update={"method": usual})
