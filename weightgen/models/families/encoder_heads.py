"""What an axis is depends on the head: without a pooler, a classifier reads the residual stream itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

POSITION_IDS = r"(.*\.)?position_ids"
"""A buffer that older releases of transformers saved."""


def unless(rules: Mapping[str, Mapping[str, str]]) -> Callable[[Any], Mapping[str, str]]:
    """Return a `Family.aliases`: parameter -> the aliases of a model that has no such parameter of its own.

    A parameter tied to another counts as missing: a tied decoder reads the axis that the embedding was written along.
    """

    def aliases(model: Any) -> Mapping[str, str]:
        tied = set(getattr(model, "all_tied_weights_keys", None) or {})
        prefix = model.base_model_prefix + "."
        own = {name.removeprefix(prefix) for name in model.state_dict() if name not in tied}
        merged = {axis: other for name, axes in rules.items() if name not in own for axis, other in axes.items()}
        return {axis: merged.get(other, other) for axis, other in merged.items()}

    return aliases
