"""A method is a named bundle of four choices: indices, heads, depth and scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from weightgen.errors import UsageError, did_you_mean
from weightgen.recipe.subcloning import SubcloneRecipe
from weightgen.subcloning import depth
from weightgen.subcloning.select import CHOICES

HEADS = {"whole": "heads are kept or dropped whole", "flat": "every axis is a plain axis, as published"}
SCALES = {"none": "values as they are", "fan-in": "times sqrt(source fan-in / target fan-in)"}
STATISTICS = {
    "magnitude": "weights alone: mean absolute value of every tensor an index takes part in",
    "activation": "mean absolute activation (weight subcloning)",
    "minitron": "L2 over batches of the mean absolute activation (Minitron)",
}


@dataclass(frozen=True)
class Method:
    """The four choices, and the statistic that importance is measured by."""

    choose: str
    heads: str
    depth: str | tuple[int, ...]
    scale: str
    importance: str = "magnitude"


METHODS: dict[str, Method] = {
    "subcloning": Method("importance", "whole", "ends", "fan-in", "magnitude"),
    "selection": Method("uniform", "whole", "first", "none"),
    "minitron": Method("importance", "whole", "influence", "none", "minitron"),
}


def resolve_method(
    name: str,
    choose: str | None = None,
    heads: str | None = None,
    depth_rule: str | Sequence[int] | None = None,
    scale: str | None = None,
    importance: str | None = None,
    calibrated: bool = False,
) -> Method:
    """Return a method by name with any of its choices overridden; raises UsageError for unknown words.

    With calibration data and no statistic named, subcloning measures activations; without data, minitron's
    choices cannot be made and are refused.
    """
    method = METHODS[_known("method", name, METHODS)]
    rule = method.depth if depth_rule is None else depth_rule
    if isinstance(rule, str):
        _known("depth", rule, depth.RULES)
    else:
        rule = tuple(int(i) for i in rule)
    statistic = importance or ("activation" if calibrated and name == "subcloning" else method.importance)
    resolved = Method(
        _known("choose", choose or method.choose, CHOICES),
        _known("heads", heads or method.heads, HEADS),
        rule,
        _known("scale", scale or method.scale, SCALES),
        _known("importance", statistic, STATISTICS),
    )
    if resolved.choose == "importance" and resolved.heads == "flat":
        raise UsageError(
            "importance ranks heads and channels, which '--heads flat' ignores:\n"
            "use --heads whole, or --method selection"
        )
    needs_data = resolved.choose == "importance" and resolved.importance != "magnitude"
    if (needs_data or resolved.depth == "influence") and not calibrated:
        raise UsageError(
            f"method '{name}' needs data: pass --calibrate DIR|FILE or --scores FILE\n"
            "(without data: --importance magnitude, and --depth first|spread|ends)"
        )
    return resolved


def method_of(recipe: SubcloneRecipe, calibrated: bool | None = None) -> Method:
    """Return the method of a recipe that names one; `calibrated`: whether there are data, by default as it says."""
    measured = recipe.calibrate is not None or recipe.scores is not None
    return resolve_method(
        recipe.method or "",
        recipe.choose,
        recipe.heads,
        recipe.depth,
        recipe.scale,
        recipe.importance,
        measured if calibrated is None else calibrated,
    )


def _known(what: str, word: str, known: object) -> str:
    words = list(known)  # type: ignore[call-overload]
    if word not in words:
        raise UsageError(f"unknown {what} '{word}': one of {', '.join(words)}.{did_you_mean(word, words)}")
    return word
