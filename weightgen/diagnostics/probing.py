"""A probe of any timm or transformers model: what enters it, what comes out, and what it could be judged by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from weightgen.diagnostics.measure import Batch, Probe
from weightgen.errors import UsageError, printable
from weightgen.models.architecture import Architecture
from weightgen.models.pictures import input_size

TARGETS = "labels"
Prober = Callable[[torch.nn.Module], tuple[Probe, str]]
"""Makes the probe of a model, and says in words what its batch is."""


def settle(probe: Probe) -> Probe:
    """Put the model in evaluation mode and give its batch norms the statistics of the probe's batch; return the probe.

    Without it the norms of a model that was never trained do nothing in evaluation mode, and those of a trained one
    normalise by images that the probe may not have. Training begins with the batch's statistics, too.
    """
    model = probe.model.eval()
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.running_mean is not None]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.train()
        norm.momentum = 1.0
    with torch.no_grad():
        probe.outputs()
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.eval()
        norm.momentum = momentum
    return probe


def synthetic(
    architecture: Architecture, model: torch.nn.Module, items: int, length: int, size: int | None, seed: int
) -> Probe:
    """Return a probe on N(0, 1) images or random tokens, and random classes to predict where the model has a head.

    `length`: tokens of an item, fewer where the model has fewer positions; `size`: side of images, for models that
    take any. Raises UsageError for models that take neither.
    """
    generator = torch.Generator().manual_seed(seed)
    key = architecture.adapter.entrance(model)
    if key in ("x", "pixel_values"):
        side, channels = input_size(architecture, size)
        batch = {key: torch.randn(items, channels, side, side, generator=generator)}
    elif key == "input_ids":
        batch = _tokens(architecture, items, length, generator)
    else:
        raise UsageError(f"{architecture.name} takes '{key}', for which no random inputs are known: pass --data")
    forward = _forward(key)
    probe = Probe(model.eval(), batch, forward, None, None if key == "input_ids" else key, seed)
    try:
        with torch.no_grad():
            outputs = probe.take(1).outputs()
    except Exception as error:  # models are arbitrary code
        reason = printable((str(error).splitlines() or [type(error).__name__])[0])
        raise UsageError(f"{architecture.name} cannot take random inputs ({reason}): pass --data") from error
    if not architecture.adapter.predicts(architecture, outputs):
        return probe
    labels = torch.randint(outputs.shape[-1], (items, *outputs.shape[1:-1]), generator=generator)
    return Probe(model, {**batch, TARGETS: labels}, forward, cross_entropy, probe.entrance, seed)


def described(probe: Probe) -> str:
    """Return a synthetic probe's batch in words."""
    shape = next(iter(probe.batch.values())).shape
    if probe.entrance is None:
        what = f"{shape[0]} items of {shape[1]} random tokens"
    else:
        what = f"{shape[0]} images of N(0, 1) pixels, {' x '.join(map(str, shape[1:]))}"
    return f"{what}, with random classes to predict" if probe.loss is not None else what


def cross_entropy(outputs: Tensor, batch: Batch) -> Tensor:
    """Return the mean cross-entropy of logits (items, ..., classes) against the batch's labels (items, ...)."""
    return torch.nn.functional.cross_entropy(outputs.flatten(0, -2), batch[TARGETS].flatten())


def _tokens(architecture: Architecture, items: int, length: int, generator: torch.Generator) -> dict[str, Tensor]:
    config = architecture.config.get_text_config()
    vocabulary, positions = int(config.vocab_size), getattr(config, "max_position_embeddings", None)
    if isinstance(positions, int) and positions > 2:
        length = min(length, positions - 2)  # RoBERTa's begin at 2
    # The first numbers are special tokens nearly everywhere: padding would be masked.
    tokens = torch.randint(min(10, vocabulary - 1), vocabulary, (items, length), generator=generator)
    decoder = {"decoder_input_ids": tokens} if getattr(architecture.config, "is_encoder_decoder", False) else {}
    return {"input_ids": tokens, **decoder}


def _forward(key: str) -> Any:
    def forward(model: Any, batch: Mapping[str, Tensor]) -> Tensor:
        given = {name: values for name, values in batch.items() if name != TARGETS}
        return first_output(model(given["x"]) if key == "x" else model(**given))

    return forward


def first_output(found: Any) -> Tensor:
    """Return a model's logits, or the first tensor of what it returns."""
    if isinstance(found, Tensor):
        return found
    logits = getattr(found, "logits", None)
    if isinstance(logits, Tensor):
        return logits
    values = list(found.values()) if isinstance(found, Mapping) else list(found)
    return next(value for value in values if isinstance(value, Tensor))
