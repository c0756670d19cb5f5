"""The flow of any model: watched on an input where one is known to fit, else traced."""

from __future__ import annotations

import copy
import inspect
from typing import Any

import torch
from torch import nn

from weightgen.models.architecture import library_of
from weightgen.models.flow.graph import Flow
from weightgen.models.flow.tracing import traced
from weightgen.models.flow.watching import watched


def find_flow(model: nn.Module) -> Flow | None:
    """Return the flow of a model, on whatever device it is, or None where it can be neither traced nor watched.

    The model itself is not run: a copy without values is, on the meta device.
    """
    try:
        bare = _without_values(model)
        names = {id(parameter): name for name, parameter in bare.named_parameters()}
        inputs = _inputs(bare)
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


def _inputs(model: nn.Module) -> dict[str, Any]:
    """Return an input of a transformers model, or of a translator, on the meta device; empty for other models."""
    config: Any = getattr(model, "config", None)
    taken = inspect.signature(model.forward).parameters
    if library_of(model) == "weightgen" and "images" in taken:
        return {"images": torch.zeros(2, 3, 16, 16, device="meta")}
    if not hasattr(model, "main_input_name") or config is None:
        return {}
    found: dict[str, torch.Tensor] = {}
    with torch.device("meta"):
        for name in ("input_ids", "decoder_input_ids"):
            if name in taken:
                found[name] = torch.zeros(2, 5, dtype=torch.long)
        if "attention_mask" in taken and taken["attention_mask"].default is inspect.Parameter.empty:
            found["attention_mask"] = torch.ones(2, 5, dtype=torch.long)
        if "pixel_values" in taken:
            vision = getattr(config, "vision_config", config)
            size = vision.image_size
            height, width = (size, size) if isinstance(size, int) else size
            found["pixel_values"] = torch.zeros(2, getattr(vision, "num_channels", 3), height, width)
        if "input_features" in taken:
            found["input_features"] = torch.zeros(2, config.num_mel_bins, 2 * config.max_source_positions)
    return found
