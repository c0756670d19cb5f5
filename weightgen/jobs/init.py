"""Init: architecture -> plan -> weights -> publish."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weightgen.console import SILENT, Reporter, human_bytes, shell_word
from weightgen.errors import UsageError
from weightgen.inits.applying import apply_plan
from weightgen.inits.card import init_card
from weightgen.inits.plan import InitPlan
from weightgen.inits.registry import initialiser_of, plan_of
from weightgen.inits.text import init_summary, init_text
from weightgen.jobs.made import Made
from weightgen.models.architecture import Architecture
from weightgen.models.libraries import LIBRARIES
from weightgen.models.loading import initialised, save_model
from weightgen.models.masks import Mask, save_mask
from weightgen.models.names import local_directory, resolve
from weightgen.publishing.publication import check_out, publication
from weightgen.publishing.sidecars import copy_sidecars
from weightgen.recipe import InitRecipe

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class PreparedInit:
    """Everything decided, nothing written."""

    recipe: InitRecipe
    architecture: Architecture
    plan: InitPlan


@dataclass(frozen=True)
class Initialised:
    """What was made."""

    plan: InitPlan
    mask: Mask
    """Empty where the method gives none."""
    directory: Path | None = None
    """Where it was published; None for a module in memory."""
    bytes: int = 0


def init(recipe: InitRecipe, out: Path, *, force: bool = False, reporter: Reporter = SILENT) -> Made[Initialised]:
    """Write a model's starting weights down in closed form, and publish weights, plan and mask."""
    check_out(out, force, [local_directory(recipe.model)])
    prepared = prepare_init(recipe)
    reporter.note(init_text(prepared.plan) + "\n")
    made = initialise(prepared, out, force=force)
    load = prepared.architecture.adapter.load_text(prepared.architecture, str(out))
    density = made.mask.density if made.mask.kept else None
    masked = f"mask:   mask.safetensors keeps {density:.1%} of the masked weights\n" if density is not None else ""
    data = {"directory": str(out), "bytes": made.bytes, "load": load, "density": density}
    text = (
        f"wrote {shell_word(out)}/ ({human_bytes(made.bytes)})\n{masked}load:   {load}\n"
        f"check:  weightgen verify {shell_word(out)}"
    )
    return Made(out, data | init_summary(prepared.plan), text, made)


def plan(recipe: InitRecipe, *, reporter: Reporter = SILENT) -> Made[InitPlan]:
    """Return the plan of what would be written."""
    found = prepare_init(recipe).plan
    return Made(None, found.to_json() | init_summary(found), init_text(found), found)


def prepare_init(recipe: InitRecipe) -> PreparedInit:
    """Build the architecture without values, and plan. Raises UsageError as `inits.plan_of` does.

    A method that is for a variant of the model gets it, where its library can build it and the recipe says nothing
    else; the recipe, and the plan, then say so.
    """
    variant = initialiser_of(recipe.method).variant
    own, architecture = _built(recipe, variant)
    called = ", ".join([architecture.name, *(f"{k}={v}" for k, v in variant.items() if own.model_args.get(k) == v)])
    return PreparedInit(own, architecture, plan_of(own.method, architecture, own.seed, own.method_args, called))


def _built(recipe: InitRecipe, variant: Mapping[str, Any]) -> tuple[InitRecipe, Architecture]:
    reference, given = resolve(recipe.model), recipe.model_args
    library = LIBRARIES[reference.library]
    if variant and library.takes_variant(reference):
        own = {**given, **{k: v for k, v in variant.items() if k not in given}}
        with suppress(UsageError):  # other models are refused by the method, which knows why
            return recipe.model_copy(update={"model_args": own}), library.build(reference, own)
    return recipe, library.build(reference, given)


def initialise(prepared: PreparedInit, out: Path, *, force: bool = False) -> Initialised:
    """Carry a plan out on the model as its library draws it, and publish weights, plan and mask."""
    architecture, found, recipe = prepared.architecture, prepared.plan, prepared.recipe
    model = initialised(architecture, recipe.seed)
    mask = Mask(apply_plan(found, model))
    density = mask.density if mask.kept else None
    with publication(out, recipe, architecture.library, force=force) as published:
        save_model(model, architecture, published.path)
        if mask.kept:
            save_mask(mask, published.path)
        copy_sidecars(resolve(recipe.model).directory, None, published.path, architecture.width)
        published.card, published.plan = init_card(architecture, found, density, out.name), found
        published.method = {"name": found.method, "options": dict(found.options)}
        published.fields = {"seed": recipe.seed, "cost": {}}
    return Initialised(found, mask, out, published.bytes)


def initialise_module(
    model: nn.Module, method: str, seed: int = 0, options: Mapping[str, Any] | None = None
) -> Initialised:
    """Initialise a module in memory in place; what the plan leaves alone keeps its values."""
    found = plan_of(method, model, seed, options)
    return Initialised(found, Mask(apply_plan(found, model)))
