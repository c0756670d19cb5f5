"""What adapters of libraries build models with: on the meta device, from sizes that make a model."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from weightgen.errors import UsageError, printable

if TYPE_CHECKING:
    import torch

# What libraries raise for sizes that make no model; none checks them all before it computes with them.
REFUSALS = (
    TypeError,
    ValueError,
    AssertionError,
    ArithmeticError,
    RuntimeError,
    LookupError,
    AttributeError,
    ImportError,
    NotImplementedError,
)
# Fields that count blocks, heads or channels: none of them makes a model of zero. Counts of classes, prefix tokens or
# token types do, and are not here; what else a library cannot build, it refuses itself.
SIZES = re.compile(
    r"((num|n|encoder|decoder)_)*((hidden|attention|encoder|decoder|key_value)_)*(layers?|heads?|blocks)|layers|depths?"
    r"|(hidden|intermediate|embedding|vocab|patch|image|img|moe_intermediate)_size|(embed|emb|head|hidden|ffn)_dim"
    r"|(encoder_|decoder_)?ffn_dim|dims?|d_model|d_ff|d_kv|n_embd|n_inner|channels"
)

COUNTS = re.compile(r"layers?$|blocks$|depths?$")
MOST_BLOCKS, MOST_WIDE = 2048, 1 << 24
"""Far beyond the deepest network and the largest vocabulary that anyone has published."""


def refuse_empty(arguments: Mapping[str, Any]) -> None:
    """Raise UsageError for a size that is not positive: libraries build networks without blocks, and say nothing."""
    for key, value in arguments.items():
        sizes = value if isinstance(value, (list, tuple)) else [value]
        if SIZES.fullmatch(key) and any(isinstance(size, (int, float)) and size < 1 for size in sizes):
            raise UsageError(f"{key}={printable(repr(value))}: a size must be at least 1")


def refuse_huge(values: Mapping[str, Any]) -> None:
    """Raise UsageError for sizes that no model has, before modules are built of them for hours."""
    for key, value in values.items():
        for size in value if isinstance(value, (list, tuple)) else [value]:
            if isinstance(size, bool) or not isinstance(size, int | float) or not SIZES.fullmatch(key):
                continue
            most = MOST_BLOCKS if COUNTS.search(key) else MOST_WIDE
            if not size <= most:  # NaN neither
                raise UsageError(f"{key}={size:.6g}: the largest that is built here is {most:,}")


def on_meta(make: Callable[[], torch.nn.Module]) -> torch.nn.Module:
    """Call a model factory on the meta device, or on the CPU where its construction needs values."""
    import torch

    try:
        with torch.device("meta"):
            model = make()
    except (NotImplementedError, RuntimeError):
        model = make()
    return model
