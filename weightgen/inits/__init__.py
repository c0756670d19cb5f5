"""Closed-form initialisers: of models by name, and of single weights in the style of torch.nn.init."""

from __future__ import annotations

from typing import Any

_HOMES: dict[str, str] = {
    "INITIALISERS": "registry",
    "apply": "registry",
    "plan_of": "registry",
    "zero_": "zero",
    "idinit_": "idinit",
    "idinit_zero_": "idinit",
    "looks_linear_": "looks_linear",
    "eoi_": "eoi",
    "eoi_mask": "eoi",
    "erk_densities": "eoi",
    "kumar_": "kumar",
    "kumar_std": "kumar",
    "preserving_": "preserving",
    "preserving_first_": "preserving",
    "stability_slope": "preserving",
    "maxout_": "maxout",
    "maxout_constant": "maxout",
    "Rational": "rational",
    "fit_rational": "rational",
    "rational_": "rational",
    "poincare_identity_": "poincare",
    "poincare_linear": "poincare",
    "low_rank_": "low_rank",
    "fixup_": "fixup",
    "fixup_groups": "fixup",
    "dag_": "dag",
    "learning_rate_ratio": "dag",
    "path_lengths": "dag",
    "prototype_": "prototypes",
    "mimetic_query_key_": "mimetic",
    "mimetic_value_": "mimetic",
    "average_modules": "averaging",
}


def __getattr__(name: str) -> Any:
    """Import initialisers on first use, since they need torch."""
    if name not in _HOMES:
        raise AttributeError(f"module 'weightgen.inits' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(f"weightgen.inits.{_HOMES[name]}"), name)
