"""What the layers of a model read: the inputs to the first, and to the others the activations before them."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor

from weightgen.diagnostics.measure import Probe
from weightgen.errors import UsageError

UNITS = 4096
"""Numbers of an item that are kept of one layer at most."""


def readings(probe: Probe, units: int = UNITS) -> dict[str, Tensor]:
    """Return what each layer reads when it first runs, (items, numbers), in that order, and the `outputs` at the end.

    Where an item has more than `units` numbers there, so many of them are drawn by the probe's seed, the same of every
    item. A layer that does not keep items apart is left out. Raises UsageError for a model without layers.
    """
    found: dict[str, Tensor] = {}
    generator = probe.generator()

    def keep(name: str, values: Tensor) -> None:
        if name not in found and len(values) % probe.items == 0:
            flat = values.detach().reshape(probe.items, -1)
            if flat.shape[1] > units:
                drawn = torch.randperm(flat.shape[1], generator=generator)[:units].sort().values
                flat = flat[:, drawn.to(flat.device)]
            found[name] = flat.clone()  # what is read may be overwritten later

    def watch(name: str) -> Any:
        return lambda module, given: keep(name, given[0]) if given else None

    with ExitStack() as stack, torch.no_grad():
        for name, layer in probe.layers().items():
            stack.callback(layer.register_forward_pre_hook(watch(name)).remove)
        outputs = probe.outputs()
    if not found:
        raise UsageError("needs linear or convolutional layers, and the model runs none")
    keep("outputs", outputs)
    return found


def classes_of(probe: Probe) -> Tensor | None:
    """Return the class of each item, (items,), or None where the batch holds none."""
    labels = probe.batch.get("labels")
    if labels is None or labels.ndim != 1 or labels.is_floating_point():
        return None
    return labels


def sample_of(probe: Probe) -> str:
    """Say what `readings` looks at."""
    return f"{probe.items} items, up to {UNITS} numbers of each in a layer"
