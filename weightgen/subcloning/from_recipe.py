"""From a recipe, a source and a target to the plan of what is cut: by table, by derived axes, or by shape."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from weightgen.console import Progress
from weightgen.models.architecture import Architecture
from weightgen.models.layout import Layout
from weightgen.models.layouts import find_layouts
from weightgen.models.source import Source
from weightgen.recipe.subcloning import SubcloneRecipe
from weightgen.subcloning.by_shape import plan_by_shape
from weightgen.subcloning.methods import Method
from weightgen.subcloning.plan import Plan
from weightgen.subcloning.planner import build_plan
from weightgen.subcloning.scores import Scores
from weightgen.subcloning.truth import check_truth, truth_of
from weightgen.subcloning.vocabulary import match_vocabularies

DTYPES = {"keep": None, "float32": "F32", "bfloat16": "BF16", "float16": "F16"}


def make_plan(
    recipe: SubcloneRecipe,
    method: Method,
    source: Source,
    target: Architecture,
    tokenizer: Path | None = None,
    progress: Progress | None = None,
) -> Plan:
    """Plan by the family's table, else by derived and proven axes, else by shape where that is allowed.

    Raises UsageError where it is not, and CheckError where a plan falls short of what the recipe requires.
    """
    dtype = DTYPES[recipe.dtype]
    found = find_layouts(source.architecture, target)
    if found.pair is None:
        plan = plan_by_shape(source, target, method, recipe.seed, dtype)
    else:
        scores = _scores(recipe, method, source, found.pair[0], progress)
        vocabulary = _vocabulary(source, target, tokenizer)
        plan = build_plan(source, target, found.pair, method, recipe.seed, scores, vocabulary, dtype)
    unexercised = found.pair[1].unexercised if found.pair is not None else frozenset()
    plan = replace(plan, truth=truth_of(plan, found.route, found.why, unexercised))
    sides = (source.architecture, target)
    one, other = (side.adapter.function(side) for side in sides)
    check_truth(plan, recipe.require, recipe.allow_shape, same_function=one == other)
    return plan


def _vocabulary(source: Source, target: Architecture, tokenizer: Path | None) -> np.ndarray | None:
    """Return the source's token of each of the target's, where they are not numbered alike."""
    wanted = getattr(getattr(target.model, "config", None), "vocab_size", None)
    if wanted is None:
        return None
    same_size = wanted == getattr(source.architecture.config, "vocab_size", None)
    if same_size and tokenizer is None:  # the source's own goes along
        return None
    return match_vocabularies(source.directory, tokenizer, wanted, same_size)


def _scores(
    recipe: SubcloneRecipe,
    method: Method,
    source: Source,
    layout: Layout,
    progress: Progress | None,
) -> Scores | None:
    from weightgen.subcloning.importance import activations, magnitude
    from weightgen.subcloning.scores import load_scores, save_scores

    if recipe.scores:
        scores = load_scores(Path(recipe.scores), layout)
    elif recipe.calibrate and (method.choose == "importance" or method.depth == "influence"):
        from weightgen.models.loading import load_model
        from weightgen.subcloning.calibration import BATCH, batches

        model = load_model(source)
        statistic = method.importance if method.importance != "magnitude" else "activation"
        total = -(-recipe.calibrate_samples // BATCH)
        data = batches(source, Path(recipe.calibrate), recipe.calibrate_samples)
        report = (lambda done: progress(min(done, total), total)) if progress else None
        scores = activations(model, layout, data, statistic, report)
        if method.importance == "magnitude" and method.choose == "importance":
            scores = Scores(magnitude(source, layout).axes, scores.blocks, scores.flops)
    elif method.choose == "importance":
        scores = magnitude(source, layout)
    else:
        return None
    if recipe.save_scores:
        save_scores(scores, Path(recipe.save_scores))
    return scores
