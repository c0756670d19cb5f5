"""From an init recipe to a checkpoint: architecture -> plan -> weights -> publish."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from weightgen.checkpoint import check_target, publish
from weightgen.errors import UsageError
from weightgen.inits.applying import apply_plan
from weightgen.inits.card import init_card
from weightgen.inits.plan import InitPlan
from weightgen.inits.registry import initialiser_of, plan_of
from weightgen.models.architecture import Architecture, build
from weightgen.models.loading import initialised, save_model
from weightgen.models.names import resolve
from weightgen.preparation import versions
from weightgen.pruning.masks import Mask, save_mask
from weightgen.recipe import InitRecipe
from weightgen.sidecars import copy_sidecars


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


def prepare_init(recipe: InitRecipe) -> PreparedInit:
    """Build the architecture without values, and plan. Raises UsageError as `inits.plan_of` does.

    A method that is for a variant of the model gets it, where timm can build it and the recipe says nothing else; the
    recipe, and the plan, then say so.
    """
    variant = initialiser_of(recipe.method).variant
    own, architecture = _built(recipe, variant)
    called = ", ".join([architecture.name, *(f"{k}={v}" for k, v in variant.items() if own.model_args.get(k) == v)])
    return PreparedInit(own, architecture, plan_of(own.method, architecture, own.seed, own.method_args, called))


def _built(recipe: InitRecipe, variant: Mapping[str, Any]) -> tuple[InitRecipe, Architecture]:
    reference, given = resolve(recipe.model), recipe.model_args
    if variant and reference.library == "timm" and reference.directory is None:
        own = {**given, **{k: v for k, v in variant.items() if k not in given}}
        with suppress(UsageError):  # other models are refused by the method, which knows why
            return recipe.model_copy(update={"model_args": own}), build(reference, own)
    return recipe, build(reference, given)


def initialise(prepared: PreparedInit, out: Path, *, force: bool = False) -> Initialised:
    """Carry a plan out on the model as its library draws it, and publish weights, plan and mask."""
    check_target(out.resolve(), force)
    architecture, plan = prepared.architecture, prepared.plan
    own = prepared.recipe.model_copy(update={"out": None})
    model = initialised(architecture, own.seed)
    mask = Mask(apply_plan(plan, model))
    density = mask.density if mask.kept else None
    with publish(out, force) as staged:
        save_model(model, architecture, staged.path)
        if mask.kept:
            save_mask(mask, staged.path)
        width = getattr(getattr(architecture.model, "config", None), "hidden_size", None)
        copy_sidecars(resolve(own.model).directory, None, staged.path, width)
        (staged.path / "recipe.yaml").write_text(own.to_yaml(), encoding="utf-8")
        (staged.path / "plan.json").write_text(json.dumps(plan.to_json(), indent=1) + "\n", encoding="utf-8")
        (staged.path / "README.md").write_text(init_card(own, architecture, plan, density, out.name), encoding="utf-8")
        staged.manifest.update(
            stage="init",
            method={"name": plan.method, "options": dict(plan.options)},
            recipe_hash=own.hash,
            plan_hash=plan.hash,
            seed=own.seed,
            cost={},
            versions=versions(architecture.library),
        )
        size = sum(f.stat().st_size for f in staged.path.rglob("*") if f.is_file())
    return Initialised(plan, mask, out, size)


def initialise_module(
    model: nn.Module, method: str, seed: int = 0, options: Mapping[str, Any] | None = None
) -> Initialised:
    """Initialise a module in memory in place; what the plan leaves alone keeps its values."""
    plan = plan_of(method, model, seed, options)
    return Initialised(plan, Mask(apply_plan(plan, model)))
