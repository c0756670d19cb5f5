"""Inputs that models of transformers can be traced and tried with."""

from __future__ import annotations

import inspect
from typing import Any

import torch


def meta_inputs(model: torch.nn.Module) -> dict[str, Any]:
    """Return what the signature of a model's forward asks for, on the meta device."""
    config: Any = model.config
    taken = inspect.signature(model.forward).parameters
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


def real_inputs(config: Any, key: str) -> list[dict[str, Any]]:
    """Return inputs of the name `key`: images, small ones first, or token ids; nothing for other inputs."""
    generator = torch.Generator().manual_seed(0)
    if key == "pixel_values":
        size = getattr(config, "image_size", 224)
        pair = (size, size) if isinstance(size, int) else tuple(size)
        sizes = [*((n, n) for n in (64,) if n < pair[0]), pair]
        channels = getattr(config, "num_channels", 3)
        return [{key: torch.randn(2, channels, *size, generator=generator)} for size in sizes]
    if key != "input_ids":
        return []
    vocabulary = config.get_text_config().vocab_size
    ids = torch.randint(min(10, vocabulary - 1), vocabulary, (2, 9), generator=generator)
    decoder = {"decoder_input_ids": ids[:, :7]} if getattr(config, "is_encoder_decoder", False) else {}
    return [{key: ids, **decoder}]
