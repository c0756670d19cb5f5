"""The flow of any model: watched on an input where one is known to fit, else traced."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn

from weightgen.models.flow.graph import Flow
from weightgen.models.flow.tracing import traced
from weightgen.models.flow.watching import watched
from weightgen.models.libraries import adapter_of


def find_flow(model: nn.Module) -> Flow | None:
    """Return the flow of a model, on whatever device it is, or None where it can be neither traced nor watched.

    The model itself is not run: a copy without values is, on the meta device.
    """
    try:
        bare = _without_values(model)
        names = {id(parameter): name for name, parameter in bare.named_parameters()}
        inputs = adapter_of(bare).meta_inputs(bare)
        return watched(bare, inputs, names) if inputs else traced(bare, names)
    except Exception:  # models are arbitrary code: whatever they raise here, the caller goes on without
        return None


def _without_values(model: nn.Module) -> nn.Module:
    """Return a copy on the meta device, in evaluation mode; no value is copied on the way."""
    copies: dict[int, Any] = {}
    for tensor in [*model.parameters(), *model.buffers()]:
        bare = torch.empty_like(tensor, device="meta")
        copies[id(tensor)] = nn.Parameter(bare, requires_grad=False) if isinstance(tensor, nn.Parameter) else bare
    made = copy.deepcopy(model, copies).eval()
    config: Any = getattr(made, "config", None)
    if hasattr(config, "use_cache"):
        config.use_cache = False
    if hasattr(config, "_experts_implementation"):
        config._experts_implementation = "batched_mm"  # the others ask the values which experts are called
    return made
