"""Heads of which only the leading part rotates: `rotary` is that part, `dim` the rest (empty where all rotates)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def partial_rotary_sizes(model: Any) -> Mapping[str, int]:
    """Return the sizes of the rotated part and the rest of a query or key head."""
    config = model.config
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    rotated = int(size * config.rope_parameters.get("partial_rotary_factor", 1.0))
    return {"rotary": rotated, "dim": size - rotated}
